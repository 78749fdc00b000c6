"""Locks on VEs: one byte of one file for each cgroup inode, held by open file description (F_OFD_SETLK in fcntl(2)).

They vanish with the process that held them, whatever ended it, and need no file for each VE.

- **One order.** A process that waits for a lock holds only locks of lower inodes. So no two processes wait for each
other.
- **A queue.** Each lock has a second byte, its turnstile. A process that finds a lock taken waits for it inside the
  turnstile; those that come later wait outside. So many short holders of a shared lock cannot keep out a process that
  wants it alone.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from ..cgroupfs.tree import Tree
from ..errors import BusyError, NotAvailableError, explained
from ..signals import undisturbed
from .fork import hold, let_go
from .progress import Event, Progress, quiet
from .state_folder import State

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length (0: to the end), pid
_TURNSTILES = 1 << 62
"""The distance in bytes from an inode's lock to its turnstile."""
_EVERY = _TURNSTILES - 1
"""An inode that no cgroup has; its turnstile is for the lock on all cgroups."""
_LONGEST = 0.01  # seconds between two tries
_SILENT = 1.0
"""Seconds of waiting before a message."""
MANY = 64
"""From so many cgroups on, all are locked as one: the kernel searches a list for each single lock."""


class Locks:
    """Holds the locks of some VEs. Use as a context manager. A forked child does not hold them."""

    def __init__(self, state: State, wait: float = 30.0, progress: Progress = quiet) -> None:
        """``wait``: seconds in all to wait for others. ``progress`` is called once, about a long wait."""
        try:
            self._fd = hold(os.open(state.locks.rpartition("/")[2], _OPEN, 0o600, dir_fd=state.folder(state.run)))
        except OSError as error:
            remedy = "Set RCTL_STATE to a folder of your own"
            raise NotAvailableError(f"{state.locks}: cannot be opened: {explained(error, remedy)}") from None
        self._state, self._progress = state, progress
        self._deadline = time.monotonic() + wait
        self._held: dict[int, int] = {}
        self._all = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._close()
        finally:  # a Ctrl-C may have come before it was closed
            self._close()

    def __del__(self) -> None:
        """A Ctrl-C came before ``__exit__`` began: who puts things back in this process may need the locks."""
        self._close()

    def _close(self) -> None:
        if (fd := getattr(self, "_fd", -1)) >= 0:
            with undisturbed():
                self._fd = -1
                let_go(fd)

    def take(self, alone: Iterable[tuple[int, str]], shared: Collection[tuple[int, str]] = ()) -> None:
        """Lock cgroups, given as (inode, path), ``alone`` or ``shared`` with others who share.

        It releases all locks that it holds first, so the caller must read again what it read before. Raises BusyError
        that names the VE if another process holds one for longer than the wait.
        """
        alone = list(alone)
        if len(alone) >= MANY:
            return self.take_all()
        self._release()
        wanted = {ino: fcntl.F_RDLCK for ino, _ in shared} | {ino: fcntl.F_WRLCK for ino, _ in alone}
        if self._somebody_waits() or not self._take_now(wanted):
            self._queue(fcntl.F_RDLCK, _EVERY, "VEs", 0, 0)
            paths = dict([*shared, *alone])
            for ino, kind in sorted(wanted.items()):
                self._queue(fcntl.F_WRLCK, ino, paths[ino], ino, 1, kind)
                self._held[ino] = kind
        return None

    def take_all(self) -> None:
        """Lock all cgroups, as ``take`` does for many."""
        self._release()
        self._queue(fcntl.F_WRLCK, _EVERY, "VEs", 0, _TURNSTILES)
        self._all = True

    def add(self, alone: Iterable[tuple[int, str]]) -> bool:
        """Lock more cgroups until the end, without waiting. If one is taken, returns False and locks none of them."""
        return self._all or self._take_now({ino: fcntl.F_WRLCK for ino, _ in alone})

    @contextmanager
    def also(self, alone: Iterable[tuple[int, str]]) -> Iterator[bool]:
        """Lock more cgroups for the block, without waiting. If one is taken, yields False and locks none of them."""
        before = dict(self._held)
        try:
            yield self.add(alone)
        finally:
            self._back_to(before)

    def _take_now(self, wanted: dict[int, int]) -> bool:
        before = dict(self._held)
        for ino, kind in sorted(wanted.items()):
            if not self._try(kind, ino, 1):
                self._back_to(before)
                return False
            self._held[ino] = kind
        return True

    def _back_to(self, before: dict[int, int]) -> None:
        for ino, kind in self._held.items():
            if before.get(ino) != kind:
                self._try(before.get(ino, fcntl.F_UNLCK), ino, 1)
        self._held = before

    def _release(self) -> None:
        if self._held or self._all:
            self._try(fcntl.F_UNLCK, 0, _TURNSTILES)
        self._held, self._all = {}, False

    def _queue(self, turn: int, number: int, path: str, start: int, length: int, kind: int = fcntl.F_WRLCK) -> None:
        """Pass a turnstile, and inside it wait for a range; no range if ``length`` is 0."""
        self._wait(turn, _TURNSTILES + number, 1, path)
        if length:
            self._wait(kind, start, length, path)
        self._try(fcntl.F_UNLCK, _TURNSTILES + number, 1)

    def _wait(self, kind: int, start: int, length: int, path: str) -> None:
        pause, begun = 0.001, time.monotonic()
        while not self._try(kind, start, length):
            now = time.monotonic()
            if now > self._deadline:
                raise self._busy(start, path)
            if now > begun + _SILENT and self._progress is not quiet:
                self._tell(start, path, self._deadline - now)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    def _busy(self, start: int, path: str) -> BusyError:
        from .records import under_way

        return BusyError(f"{path}: another adjustment holds it{under_way.told(self._state, _inode(start))}")

    def _tell(self, start: int, path: str, left: float) -> None:
        from .records import under_way

        progress, self._progress = self._progress, quiet
        whom = under_way.awaited(self._state, _inode(start))
        progress(Event("wait", text=f"{path}: waiting for another adjustment, {left:.0f} s at most{whom}"))

    def _somebody_waits(self) -> bool:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _TURNSTILES, 0, 0)
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, asked)
        return int(struct.unpack(_FLOCK, answer)[0]) != fcntl.F_UNLCK

    def _try(self, kind: int, start: int, length: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))
        except (BlockingIOError, PermissionError):
            return False
        return True


def _inode(start: int) -> int | None:
    """The inode of a byte; ``None`` for the lock on all cgroups."""
    return start % _TURNSTILES % _EVERY or None


def parents(tree: Tree, own: Iterable[str]) -> set[tuple[int, str]]:
    """The parents of the cgroups with the paths ``own``, as (inode, path), without those that are among them."""
    found: dict[str, int] = {"/": tree.root.ino}
    own = set(own)
    for path in own:
        above = path.rpartition("/")[0] or "/"
        if above not in found:
            with tree.walk(above) as parent:
                found[above] = parent.ino
    return {(ino, path) for path, ino in found.items() if path not in own}
