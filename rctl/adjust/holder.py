"""Whose adjustment holds a lock: the journal that names the cgroup, and the process that has it open.

Looked for when a wait has ended in vain. The kernel does not tell who holds a lock of an open file description.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import RctlError
from .choose import named
from .journal import left_open, peek
from .state import State


def told(state: State, ino: int | None) -> str:
    """For people: who holds the lock of the cgroup with this inode (``None``: of any), and the cure."""
    with suppress(OSError, RctlError):
        for name in left_open(state):
            with suppress(RctlError):
                record = peek(state, name)
                if record is None or (ino is not None and ino not in record.inodes.values()):
                    continue
                if (pid := _who(f"{state.journals}/{name}")) and pid != os.getpid():
                    if _stopped(pid):
                        return f": {named(record)}, process {pid}, which is stopped. Let it go on: kill -CONT {pid}"
                    return f": {named(record)}, process {pid}. Wait for it to end, or end it: kill {pid}"
    return ". Wait for it to end, and try again"


def _who(path: str) -> int:
    """The process that has the file open, of those that the caller may look at; 0 for none."""
    wanted = os.stat(path)
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), wanted):
                        return int(pid)
    return 0


def _stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
