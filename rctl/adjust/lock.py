"""Locks on VEs: one byte of one file for each cgroup inode, held by open file description (F_OFD_SETLK in fcntl(2)).

They vanish with the process that held them, whatever ended it, and need no file of their own for each VE.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterable
from typing import Self

from ..errors import BusyError, NotAvailableError
from .state import State

_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length (0: to the end), pid
_MANY = 64


class Locks:
    """Holds the locks of some VEs. Use as a context manager."""

    def __init__(self, state: State, wait: float = 30.0) -> None:
        """``wait``: seconds in all to wait for others."""
        try:
            self._fd = os.open(state.locks, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotAvailableError(f"{state.locks}: cannot be opened: {error.strerror}. See RCTL_STATE") from None
        self._deadline = time.monotonic() + wait
        self._all = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def take(self, cgroups: Iterable[tuple[int, str]]) -> None:
        """Lock cgroups, given as (inode, path); always in the same order, so that nobody waits in a circle.

        Very many are locked as one range, all inodes there are: the kernel searches a list for each single lock.
        Raises BusyError, naming the VE, when somebody holds one for longer than the wait.
        """
        wanted = sorted(cgroups)
        self._all = self._all or len(wanted) >= _MANY
        for start, length, path in [(0, 0, "VEs")] if self._all else [(ino, 1, path) for ino, path in wanted]:
            self._wait(fcntl.F_WRLCK, start, length, path)

    def share(self, cgroups: Iterable[tuple[int, str]]) -> None:
        """Hold cgroups with others who share them, against those who ``take`` them. As ``take`` otherwise."""
        for ino, path in [] if self._all else sorted(cgroups):
            self._wait(fcntl.F_RDLCK, ino, 1, path)

    def drop(self, inodes: Iterable[int]) -> None:
        """Let go of single cgroups."""
        for ino in () if self._all else inodes:
            self._try(fcntl.F_UNLCK, ino, 1)

    def _wait(self, kind: int, start: int, length: int, path: str) -> None:
        pause = 0.001
        while not self._try(kind, start, length):
            if time.monotonic() > self._deadline:
                raise BusyError(
                    f"{path}: another adjustment holds it. Wait for it to end, or see rctl history and rctl recover"
                )
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _try(self, kind: int, start: int, length: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))
        except (BlockingIOError, PermissionError):
            return False
        return True
