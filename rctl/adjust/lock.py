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
MANY = 64
"""So many cgroups are locked as one."""


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

    def take(self, alone: Iterable[tuple[int, str]], shared: Iterable[tuple[int, str]] = ()) -> None:
        """Lock cgroups, given as (inode, path), ``alone`` or ``shared`` with others who share.

        Always in the same order, so that nobody waits in a circle. Very many are locked as one range, all inodes there
        are: the kernel searches a list for each single lock. Raises BusyError, naming the VE, when somebody holds one
        for longer than the wait.
        """
        alone = list(alone)
        self._all = self._all or len(alone) >= MANY
        if self._all:
            self._wait(fcntl.F_WRLCK, 0, 0, "VEs")
            return
        wanted = {ino: (fcntl.F_RDLCK, path) for ino, path in shared}
        wanted |= {ino: (fcntl.F_WRLCK, path) for ino, path in alone}
        for ino, (kind, path) in sorted(wanted.items()):
            self._wait(kind, ino, 1, path)

    def take_now(self, alone: Iterable[tuple[int, str]]) -> bool:
        """Lock cgroups without waiting; False when somebody holds one. Those taken before it stay taken."""
        return self._all or all(self._try(fcntl.F_WRLCK, ino, 1) for ino, _ in sorted(alone))

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
