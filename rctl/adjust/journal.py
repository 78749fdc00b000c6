"""The journal of an adjustment under way, and the history of those that ended.

A journal is complete and on disk before the first write to a cgroup, and goes when the adjustment has ended, one way
or the other. While its process lives the file is locked; a journal that nobody holds is a crash. A finished
adjustment moves into the history, one JSON line each, for ``rctl undo`` and ``rctl history``.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from typing import Self

import msgspec

from ..errors import RctlError
from .plan import Step
from .state import State

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_HISTORY = 16 << 20


class Record(msgspec.Struct, frozen=True):
    """One adjustment: when (seconds since 1970), by what command, of which cgroups (inode by path), in which steps.

    ``undoes`` is the id of the adjustment that this one took back.
    """

    id: str
    time: float
    boot_id: str
    command: str
    inodes: dict[str, int]
    steps: tuple[Step, ...]
    undoes: str | None = None


class Journal:
    """An open journal, held until ``close`` or ``abandon``."""

    def __init__(self, state: State, record: Record) -> None:
        """Write the journal and wait until it is on disk."""
        self.record = record
        self._data = msgspec.json.encode(record)
        self._state = state
        self._path = f"{state.journals}/{record.id}.json"
        draft = f"{state.journals}/.{record.id}.{os.getpid()}"
        self._fd = os.open(draft, _CREATE, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            _write_all(self._fd, self._data)
            os.fsync(self._fd)
            os.rename(draft, self._path)
        except OSError as error:
            os.close(self._fd)
            os.unlink(draft)
            raise RctlError(f"{self._path}: {error.strerror}; nothing was changed. Make room there") from None
        _sync_folder(state.journals)

    @classmethod
    def adopt(cls, state: State, name: str) -> Self | None:
        """Take over a journal that a crash left; ``None`` when its process still lives or it has just ended."""
        path = f"{state.journals}/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink == 0:
                raise BlockingIOError
        except BlockingIOError:
            os.close(fd)
            return None
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        journal = cls.__new__(cls)
        journal._fd, journal._state, journal._path, journal._data = fd, state, path, data
        try:
            journal.record = msgspec.json.decode(data, type=Record)
        except msgspec.DecodeError as error:
            os.close(fd)
            raise RctlError(f"{path}: not a journal of rctl: {error}. Look at it, then remove it by hand") from None
        return journal

    def close(self, *, done: bool) -> None:
        """The adjustment has ended: ``done`` moves it into the history; else nothing of it is left to tell."""
        if done:
            _append(self._state, self._data)
        os.unlink(self._path)
        os.close(self._fd)

    def abandon(self) -> None:
        """Leave the journal open on disk, for ``rctl recover``."""
        os.close(self._fd)


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


def _append(state: State, line: bytes) -> None:
    """Add a line to the history. A history grown over 16 MiB starts anew beside the old."""
    fd = os.open(state.history, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        _write_all(fd, line + b"\n")
        if os.fstat(fd).st_size > _MOST_HISTORY:
            os.rename(state.history, state.history + ".1")
    finally:
        os.close(fd)


def history(state: State) -> Iterator[Record]:
    """Finished adjustments, oldest first. A line that is no record (a disk that was full) is left out."""
    decoder = msgspec.json.Decoder(Record)
    try:
        with open(state.history, "rb") as lines:
            for line in lines:
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError:
                    continue
    except FileNotFoundError:
        return


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
