"""Lists of CPUs and nodes: the replacement for an empty list under tasks, and numbers that this machine cannot have.

A list cannot be emptied while tasks run (ENOSPC). Writing every possible CPU has the same effect. The kernel takes all
*possible* ones, also those that are offline now, and keeps the VE within its parent. So the VE follows its parent
again, also to CPUs that come back later; ``.effective`` shows those in effect now.
"""

from __future__ import annotations

import errno

from ..cgroupfs import files
from ..cgroupfs.cgroup import Cgroup
from ..controllers.cpuset import CPUS, EXCLUSIVE, MEMS, PARTITION
from ..errors import BusyError
from ..formats import File
from ..ranges import Ranges

_KINDS = {CPUS.name: "cpu", MEMS.name: "node"}


def applies(file: File) -> bool:
    """True if the file is such a list."""
    return file in (CPUS, MEMS)


def everything(file: File) -> str:
    """The list of all possible CPUs, or nodes, as the kernel prints it."""
    return files.possible(_KINDS[file.name])


def instead(ve: Cgroup, file: File) -> tuple[str, str]:
    """The list to write instead of an empty one, and a note for people. Raises BusyError."""
    _check(ve, file)
    text = everything(file)
    return text, f"{ve.path}: {file.name}: {text}, every possible one, because it cannot be empty while tasks run"


def _check(ve: Cgroup, file: File) -> None:
    """Raise BusyError if CPUs belong to a sibling's partition: this list would make that invalid."""
    if file is not CPUS:
        return
    with ve.above() as parent:
        if _all_in_effect(parent):
            return
        for name in parent.children():
            with parent.child(name) as sibling:
                kind = (sibling.read_if_there(PARTITION.name) or "member").strip()
                if kind != "member" and "invalid" not in kind and sibling.ino != ve.ino:
                    raise BusyError(
                        f"{file.name}: cannot be emptied on {ve.path} while tasks run, and cannot have all CPUs: some "
                        f"are the partition of {sibling.path}. Make that a member first, end the tasks, or name CPUs"
                    )


def _all_in_effect(parent: Cgroup) -> bool:
    """True if the parent itself has all its CPUs, so no child's partition took any."""
    effective = Ranges.parse(parent.read_if_there(f"{CPUS.name}.effective") or "")
    return set(effective.numbers) >= set(Ranges.parse(files.online_cpus()).numbers)


_NOT_THERE = {CPUS.name: errno.ERANGE, EXCLUSIVE.name: errno.ERANGE, MEMS.name: errno.EINVAL}


def no_such(file: str, text: str) -> int:
    """The errno for a list with a number that this machine cannot have; 0 if there is none, or if it is not a list.

    The kernel returns one of two errors, depending on its configuration.
    """
    if file not in _NOT_THERE:
        return 0
    possible = Ranges.parse(files.possible("node" if file == MEMS.name else "cpu"))
    return 0 if set(Ranges.parse(text).numbers) <= set(possible.numbers) else _NOT_THERE[file]
