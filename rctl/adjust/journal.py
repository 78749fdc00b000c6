"""The journal of an adjustment under way.

A journal is complete and on disk before the first write to a cgroup, and goes when the adjustment has ended, one way
or the other. While its process lives the file is locked; a journal that nobody holds is a crash. A finished
adjustment moves into the history, one JSON line each, for ``rctl undo`` and ``rctl history``.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from typing import Self

import msgspec

from ..errors import RctlError
from .history import Record, append, history, write_all
from .state import State

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Journal:
    """An open journal, held until ``close`` or ``abandon``."""

    def __init__(self, state: State, record: Record) -> None:
        """Write the journal and wait until it is on disk."""
        self.record = record
        self._data = msgspec.json.encode(record)
        self.state = state
        self._path = f"{state.journals}/{record.id}.json"
        draft = f"{state.journals}/.{record.id}.{os.getpid()}"
        self._fd = -1
        try:
            self._fd = os.open(draft, _CREATE, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            write_all(self._fd, self._data)
            os.fsync(self._fd)
            os.rename(draft, self._path)
            _sync_folder(state.journals)
        except BaseException as error:
            self._let_go(draft, self._path)
            if not isinstance(error, OSError):
                raise
            raise RctlError(f"{self._path}: {error.strerror}; nothing was changed. Make room there") from None

    @classmethod
    def adopt(cls, state: State, name: str) -> Self | None:
        """Take over a journal that a crash left; ``None`` when its process still lives or it has just ended."""
        path = f"{state.journals}/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _foreign(path, str(error.strerror)) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink == 0:
                raise BlockingIOError
        except BlockingIOError:
            os.close(fd)
            return None
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        journal = cls.__new__(cls)
        journal._fd, journal.state, journal._path, journal._data = fd, state, path, data
        try:
            journal.record = _decoded(path, data)
        except RctlError:
            os.close(fd)
            raise
        return journal

    def close(self, *, done: bool) -> list[str]:
        """The adjustment has ended: ``done`` moves it into the history; else nothing of it is left to tell.

        Returns notes for people; what has ended does not fail any more.
        """
        notes: list[str] = []
        try:
            if done:
                append(self.state.history, self._data)
        except OSError as error:
            notes.append(f"{self.state.history}: {error.strerror}; this adjustment stands, and cannot be undone")
        self._let_go(self._path)
        return notes

    def told(self) -> bool:
        """Whether the history has it already: the crash came after the end."""
        return any(record.id == self.record.id for record in history(self.state))

    def abandon(self) -> None:
        """Leave the journal open on disk, for ``rctl recover``."""
        self._let_go()

    def _let_go(self, *paths: str) -> None:
        for path in paths:
            with suppress(OSError):
                os.unlink(path)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def new_id() -> str:
    """An id that sorts by time and that people can read: UTC date, time, microseconds."""
    now = time.time()
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(now)) + f"-{int(now * 10**6) % 10**6:06}"


def left_open(state: State) -> list[str]:
    """Names of all journals on disk, oldest first, those of living adjustments among them."""
    try:
        return sorted(name for name in os.listdir(state.journals) if name.endswith(".json") and name[0] != ".")
    except FileNotFoundError:
        return []


def peek(state: State, name: str) -> Record | None:
    """What a journal says, without taking it over; ``None`` when it has gone. Raises RctlError when it is none."""
    path = f"{state.journals}/{name}"
    try:
        with open(path, "rb") as file:
            return _decoded(path, file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _foreign(path, str(error.strerror)) from None


def _decoded(path: str, data: bytes) -> Record:
    try:
        return msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError as error:
        raise _foreign(path, str(error)) from None


def _foreign(path: str, reason: str) -> RctlError:
    return RctlError(f"{path}: not a journal of rctl: {reason}. Look at it, then remove it by hand")


def sweep(state: State) -> None:
    """Remove half-written journals of processes that ended before they had changed anything."""
    for name in os.listdir(state.journals):
        if name[0] == "." and not os.path.exists(f"/proc/{name.rpartition('.')[2]}"):
            with suppress(FileNotFoundError):
                os.unlink(f"{state.journals}/{name}")


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
