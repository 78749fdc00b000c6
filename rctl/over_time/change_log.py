"""What a rolling change has done, on disk: one file of lines that only grows, locked while the change runs.

The first line is the request. Each further line is one batch, or the end. A line counts once it is on disk; a torn one
is ignored. What a line does not say is done again, and that changes nothing where it was done. Cgroups do not outlive a
boot, so the file lies on the run-time file system. It is removed when all VEs are done.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import msgspec

from ..adjust.records.log_files import write_all
from ..adjust.state_folder import State
from ..errors import BusyError, NotFoundError, RctlError, explained

VERSION = 2
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_RDWR | os.O_APPEND
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}", re.ASCII)
_DRAFT = ".new"
"""How the name of a file ends whose request is not on disk yet."""
_KEPT = 100
"""Most files of changes that were not finished."""


class RollRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for. ``ves``: inode by name (0: to be made), in the order of the batches.

    ``limits``: plain limits, as typed, and ``asked``: for each VE the number of its limits; empty for ``apply``, whose
    spec is given again. The others are the options of the same names.
    """

    id: str
    time: float
    boot_id: str
    command: str
    verb: str
    ves: dict[str, int]
    batch: str
    limits: tuple[dict[str, Any], ...] = ()
    asked: dict[str, int] = {}
    pause: float = 0.0
    check: tuple[str, ...] = ()
    check_seconds: float = 0.0
    abort_after: int = 1
    on_abort: str = "keep"
    deadline: float = 10.0
    wait: float = 30.0
    force: bool = False
    lasting: float | None = None
    version: int = VERSION


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One batch: the VEs that are done, and why others failed; or the end. ``undone``: all was put back."""

    done: tuple[str, ...] = ()
    failed: dict[str, str] = {}
    undone: bool = False
    ended: str = ""


class ChangeLog:
    """An open log. Use as a context manager, which lets go of the lock.

    ``done``: the VEs that need nothing more. ``failed``: why, by VE. ``resumed``: it was begun by another process.
    """

    def __init__(self, state: State, fd: int, request: RollRequest, lines: tuple[Line, ...] | None = None) -> None:
        self.request = request
        self.done: dict[str, None] = {}
        self.failed: dict[str, str] = {}
        self.resumed = lines is not None
        self._state, self._fd = state, fd
        for line in lines or ():
            self._take(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @classmethod
    def begin(cls, state: State, request: RollRequest) -> Self:
        """Write the request of a new change to disk, and lock it. Raises RctlError if that fails."""
        folder = state.folder(place(state))
        _clean(state, folder)
        draft = request.id + _DRAFT
        fd = os.open(draft, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            _add(fd, request)
            os.rename(draft, request.id, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except BaseException as error:
            os.close(fd)
            for name in (draft, request.id):
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)
            if isinstance(error, OSError):
                raise RctlError(f"{place(state)}/{request.id}: cannot be written: {explained(error)}") from None
            raise
        return cls(state, fd, request)

    @classmethod
    def resume(cls, state: State, wanted: str) -> Self:
        """Open and lock the log of a change that did not come to its end.

        Raises NotFoundError if there is none, BusyError if the change runs, RctlError if a newer rctl wrote it.
        """
        folder = state.folder_if_there(place(state))
        try:
            if folder is None or not _ID.fullmatch(wanted):
                raise FileNotFoundError
            fd = os.open(wanted, _FLAGS, dir_fd=folder)
        except FileNotFoundError:
            raise NotFoundError(
                f"--retry {wanted}: no rolling change with this id is unfinished. See rctl history"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            request, *lines = _read(fd, wanted)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise BusyError(f"--retry {wanted}: this change still runs in another process") from None
            raise
        except BaseException:
            os.close(fd)
            raise
        assert isinstance(request, RollRequest)
        return cls(state, fd, request, tuple(line for line in lines if isinstance(line, Line)))

    def add(self, line: Line) -> None:
        """Write a line to disk. Raises RctlError if that fails."""
        try:
            _add(self._fd, line)
        except OSError as error:
            raise RctlError(f"{place(self._state)}/{self.request.id}: {explained(error)}") from None
        self._take(line)

    def remove(self) -> None:
        """Remove the file of a change whose VEs are all done."""
        with suppress(OSError):
            os.unlink(self.request.id, dir_fd=self._state.folder(place(self._state)))

    def _take(self, line: Line) -> None:
        if line.undone:
            self.done.clear()
            self.failed.clear()
        for name in line.done:
            self.done[name] = None
            self.failed.pop(name, None)
        for name, why in line.failed.items():
            self.done.pop(name, None)
            self.failed[name] = why


def unfinished(state: State) -> Iterator[RollRequest]:
    """The requests of the changes that did not come to their end, newest first; those that still run, too."""
    folder = state.folder_if_there(place(state))
    for name in sorted(filter(_ID.fullmatch, os.listdir(folder)), reverse=True) if folder is not None else ():
        with suppress(OSError, RctlError):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                if isinstance(request := next(_read(fd, name)), RollRequest):
                    yield request
            finally:
                os.close(fd)


def place(state: State) -> str:
    """The folder of the logs."""
    return f"{state.run}/changes"


def _add(fd: int, what: RollRequest | Line) -> None:
    size = os.fstat(fd).st_size
    torn = size and os.pread(fd, 1, size - 1) != b"\n"
    write_all(fd, b"\n" * bool(torn) + msgspec.json.encode(what) + b"\n")
    os.fsync(fd)


def _read(fd: int, name: str) -> Iterator[RollRequest | Line]:
    """The request and the lines. A line without its end, or one that is none, was torn by a crash."""
    with open(os.dup(fd), "rb") as file:
        file.seek(0)
        first, *rest = file.read().split(b"\n")
    try:
        head = msgspec.json.decode(first, type=dict[str, Any])
        if (version := head.get("version", 0)) != VERSION:
            raise RctlError(f"--retry {name}: was begun by another rctl (form {version}). Retry it with that one")
        yield msgspec.convert(head, RollRequest)
    except msgspec.DecodeError as error:
        raise NotFoundError(f"--retry {name}: its file is damaged ({error}). Give the command again") from None
    for line in rest[:-1]:
        with suppress(msgspec.DecodeError):
            yield msgspec.json.decode(line, type=Line)


def _clean(state: State, folder: int) -> None:
    """Remove what a crash left of a request, and the oldest changes that nobody continued, if there are too many."""
    there = os.listdir(folder)
    names = sorted(name for name in there if _ID.fullmatch(name))
    drafts = [name for name in there if name.endswith(_DRAFT)]
    for name in [*drafts, *names[: max(0, len(names) - _KEPT)]]:
        with suppress(OSError):
            fd = os.open(name, _FLAGS, dir_fd=folder)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(fd)
