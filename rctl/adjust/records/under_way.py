"""Adjustments under way: the journal of each, and the process that has it open.

They are looked for after some waiting. The kernel does not show the holder of a lock of an open file description.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from ...errors import RctlError
from ..state_folder import State
from .journal import left_open, peek
from .record_format import Record, named


class Holder(NamedTuple):
    """An adjustment under way in another process. ``stopped``: by a signal, as Ctrl-Z does."""

    record: Record
    pid: int
    stopped: bool

    def __str__(self) -> str:
        """For people: the adjustment, and the way to continue it if it is stopped."""
        stopped = f", which is stopped. {self.cure}" if self.stopped else ""
        return f"{named(self.record)}, process {self.pid}{stopped}"

    @property
    def cure(self) -> str:
        """The way to let others continue."""
        if self.stopped:
            return f"Let it go on: kill -CONT {self.pid}"
        return f"Wait for it to end, or end it: kill {self.pid}"


def under_way(state: State, ino: int | None = None) -> Iterator[Holder]:
    """Adjustments of the cgroup with this inode, oldest first (``None``: of any), as far as the caller may see them."""
    for name in left_open(state):
        with suppress(OSError, RctlError):
            record = peek(state, name)
            if record is None or (ino is not None and ino not in record.inodes.values()):
                continue
            if (pid := _who(f"{state.journals}/{name}")) and pid != os.getpid():
                yield Holder(record, pid, _stopped(pid))


def told(state: State, ino: int | None) -> str:
    """The rest of "another adjustment holds it": its name, and the remedy."""
    with suppress(OSError, RctlError):
        for holder in under_way(state, ino):
            return f": {holder}" if holder.stopped else f": {holder}. {holder.cure}"
        if stopped := _stopped_before(state):
            return f". {stopped[0].upper()}{stopped[1:]}"
    return ". Wait for it to end, and try again"


def awaited(state: State, ino: int | None) -> str:
    """The rest of "waiting for another adjustment": its name, if it can be seen."""
    with suppress(OSError, RctlError):
        for holder in under_way(state, ino):
            return f": {holder}"
        if stopped := _stopped_before(state):
            return f": {stopped}"
    return ""


def _stopped_before(state: State) -> str:
    """A process that is stopped before it has a journal, while it waits or reads, and holds locks.

    Empty if there is none. Its locks cannot be seen.
    """
    pid = next((pid for pid in _who_all(state.locks) if pid != os.getpid() and _stopped(pid)), 0)
    return f"process {pid} is stopped, and may hold it. Let it go on: kill -CONT {pid}" if pid else ""


def _who(path: str) -> int:
    """The process that has the file open, of those that the caller may look at; 0 if there is none."""
    return next(_who_all(path), 0)


def _who_all(path: str) -> Iterator[int]:
    wanted = os.stat(path)
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), wanted):
                        yield int(pid)
                        break


def _stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
