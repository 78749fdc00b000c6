"""The folders for data that must outlive a process: locks and open journals, and the history.

Cgroups vanish at a reboot, so locks and journals lie on the run-time file system; the history lies on disk.
``RCTL_STATE`` puts all of it below one folder.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Protocol, Self

from ..cgroupfs.mounts import kind_of
from ..errors import OUT_OF, NotAvailableError, UsageError, explained

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_RUNTIME = "/run/user/{}"
_KERNEL = frozenset(("cgroup", "cgroup2", "configfs", "debugfs", "proc", "resctrl", "sysfs", "tracefs"))
"""File systems of the kernel itself: a new folder there would be a kernel object, or would fail."""
_Place = tuple[str, int | None]
"""A name, and the descriptor of the folder that it lies in; ``None``: the name is a path."""


class Closable(Protocol):
    """Something that holds files open."""

    def close(self) -> None:
        """Close them."""


class State:
    """Two folders: ``run`` for locks and journals (gone at reboot), ``keep`` for the history.

    ``journals``: the folder of the open journals. ``locks``: the file whose bytes, one for each cgroup inode, are the
    VEs' locks. ``history``, ``failures``: JSON lines, one for each finished adjustment, and one for each limit that
    could not be written, oldest first. ``followed``: the desired limits (``records.following``).

    A folder is opened when it is first needed, checked through its descriptor, and held until ``close()``. All work in
    it is relative to that descriptor, so a link that is put in its place later has no effect.
    """

    __slots__ = ("_held", "failures", "followed", "history", "journals", "keep", "locks", "run")

    def __init__(self, run: str, keep: str) -> None:
        """Opens nothing yet."""
        self._held: dict[str, int] = {}
        self.followed: Closable | None = None
        self.run, self.keep = run, keep
        self.journals, self.locks = f"{run}/journal", f"{run}/lock"
        self.history, self.failures = f"{keep}/history.jsonl", f"{keep}/failures.jsonl"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # a Ctrl-C came before it was set
            self.close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and (self.run, self.keep) == (other.run, other.keep)

    def __hash__(self) -> int:
        return hash((self.run, self.keep))

    def __repr__(self) -> str:
        return f"State({self.run!r}, {self.keep!r})"

    def folder(self, path: str) -> int:
        """The descriptor of ``run``, ``keep`` or ``journals``. Makes the folder if it is missing.

        Raises NotAvailableError if another user owns the folder or may write to it, or if it cannot be made.
        """
        held = self._held.get(path)
        return self._hold(path, make=True) if held is None else held

    def folder_if_there(self, path: str) -> int | None:
        """As ``folder``; ``None`` if it is missing; it is not made. Raises OSError if no descriptor is free."""
        try:
            held = self._held.get(path)
            return self._hold(path, make=False) if held is None else held
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close the folders, and what is followed in them."""
        if (known := self.followed) is not None:
            self.followed = None
            known.close()
        while self._held:
            os.close(self._held.popitem()[1])

    def _hold(self, path: str, *, make: bool) -> int:
        above, _, name = path.rpartition("/")
        place: _Place = (path, None)
        if above in (self.keep, self.run):
            fd = self.folder(above) if make else self.folder_if_there(above)
            if fd is None:
                raise FileNotFoundError
            place = (name, fd)
        fd = _opened(path, place, make=make)
        try:
            _check(path, os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        self._held[path] = fd
        return fd


def _opened(path: str, place: _Place, *, make: bool) -> int:
    name, above = place
    try:
        try:
            return os.open(name, _FOLDER, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        check_place(path, above)
        if above is None:
            os.makedirs(name, 0o700, exist_ok=True)
        else:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
        return os.open(name, _FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and os.path.lexists(path):
            raise _unsafe(path) from None
        if not make and (isinstance(error, FileNotFoundError) or error.errno in OUT_OF):
            raise
        why = explained(error, "Set RCTL_STATE to a folder of your own")
        done = "read" if not make else "opened" if os.path.isdir(path) else "made"
        raise NotAvailableError(f"{path}: cannot be {done}: {why}") from None


def lock_file(state: State, name: str) -> int:
    """Open a file of the folder ``run`` to lock it, and make it if it is missing. The caller closes it."""
    try:
        return os.open(name, _LOCK_FILE, 0o600, dir_fd=state.folder(state.run))
    except OSError as error:
        why = explained(error, "Set RCTL_STATE to a folder of your own")
        raise NotAvailableError(f"{state.run}/{name}: cannot be opened: {why}") from None


def check_place(path: str, above: int | None = None) -> None:
    """Raise NotAvailableError before a folder is made in a file system of the kernel, where it would be a cgroup."""
    place = os.path.dirname(os.path.abspath(path))
    while above is None and not os.path.isdir(place):
        place = os.path.dirname(place)
    kind = kind_of(os.stat(place if above is None else above).st_dev)
    if kind in _KERNEL:
        raise NotAvailableError(
            f"{path}: cannot be made: lies on a {kind} file system, which keeps no files. "
            "Set RCTL_STATE to a folder of your own"
        )


def _check(path: str, facts: os.stat_result) -> None:
    if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
        raise _unsafe(path)


def _unsafe(path: str) -> NotAvailableError:
    return NotAvailableError(
        f"{path}: must be a folder that only you can write. Set RCTL_STATE to a folder of your own"
    )


def default_state() -> State:
    """``$RCTL_STATE``; else /run/rctl and /var/lib/rctl for root, the XDG folders for others.

    Raises UsageError for a relative ``RCTL_STATE``.
    """
    if place := os.environ.get("RCTL_STATE"):
        if not os.path.isabs(place):
            raise UsageError(f"RCTL_STATE {place[:80]!r}: must start with /, so that all of rctl finds the same locks")
        return State(f"{place}/run", place)
    if os.geteuid() == 0:
        return State("/run/rctl", "/var/lib/rctl")
    runtime = _runtime()
    run = f"{runtime}/rctl" if runtime else f"/tmp/rctl-{os.geteuid()}"  # noqa: S108 (owner and mode are checked)
    keep = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return State(run, f"{keep}/rctl")


def _runtime() -> str:
    """The run-time folder of the caller; empty if there is none.

    ``XDG_RUNTIME_DIR`` may be another user's: su(1) keeps it.
    """
    for place in (os.environ.get("XDG_RUNTIME_DIR"), _RUNTIME.format(os.geteuid())):
        with suppress(OSError):
            if place and os.stat(place).st_uid == os.geteuid():
                return place
    return ""


def make(state: State) -> State:
    """Open the folders, and make the missing ones, for the owner alone.

    Raises NotAvailableError if another user owns one or may write to it.
    """
    for folder in (state.keep, state.run, state.journals):
        state.folder(folder)
    return state
