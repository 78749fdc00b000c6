"""The processes of a VE's cgroups, moving processes in, and removing empty cgroups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import remove_soon
from ...cgroupfs.walk import walk
from ...controllers import core
from ...errors import GoneError, NotFoundError, UsageError
from ..enabling import threaded
from ..steps import Move
from . import ve_cgroup


def processes(ve: Cgroup) -> list[int]:
    """Process ids in the VE and in all cgroups below it, each once. 0 is a process of another pid namespace."""
    found: list[int] = []
    for cgroup in family(ve):
        with suppress(GoneError):
            text = cgroup.read_if_there(core.PROCS)
            found += map(int, text.split()) if text is not None else _owners(cgroup)
    return list(dict.fromkeys(found))


def _owners(cgroup: Cgroup) -> Iterator[int]:
    """The processes of the threads in a threaded cgroup, whose ``cgroup.procs`` cannot be read (EOPNOTSUPP)."""
    for thread in (cgroup.read_if_there(core.THREADS) or "").split():
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{thread}/status") as lines:
            yield next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def family(ve: Cgroup) -> Iterator[Cgroup]:
    """Each cgroup below the VE, children first, and the VE itself last; each is open until the next."""
    return (cgroup for cgroup, down in walk(ve, _child, _children) if not down)


def _child(cgroup: Cgroup, name: str) -> Cgroup | None:
    try:
        return cgroup.child(name)
    except NotFoundError:
        return None


def _children(cgroup: Cgroup) -> list[str]:
    try:
        return cgroup.children()
    except GoneError:
        return []


def remove(ve: Cgroup, seconds: float) -> None:
    """Remove a VE and the cgroups below it. Raises BusyError if one of them has processes after ``seconds``."""
    for cgroup in family(ve):
        for child in _children(cgroup):
            remove_soon(cgroup, child, seconds)
    with ve.above() as base:
        ve_cgroup.remove(base, ve.path, seconds)


def check_remove(ve: Cgroup, kill: bool) -> None:
    """Raise KernelError if the caller may not remove the VE, or, with ``kill``, end its processes."""
    with ve.above() as base:
        base.check_write(".", ve.path, "cannot be removed")
    if kill and ve.has(core.KILL):
        ve.check_write(core.KILL, ve.path, "cannot be written")


def unmake(ve: Cgroup) -> None:
    """Remove a VE that was just made. Raises BusyError if another program has filled it meanwhile."""
    with ve.above() as base:
        ve_cgroup.remove(base, ve.path)


def started(pid: int) -> int:
    """The start time of a process in clock ticks since boot (proc_pid_stat(5), field 22); with the id it is unique.

    Raises NotFoundError if there is no such process.
    """
    return int(_stat(pid)[19])


def check_whole(pid: int) -> None:
    """Raise UsageError for a thread, because only whole processes move; NotFoundError for a process that ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="surrogateescape") as lines:
            found = dict(line.split(":\t", 1) for line in lines if line.startswith(("Tgid:", "State:", "Threads:")))
    except (FileNotFoundError, ProcessLookupError):
        raise NotFoundError(f"{pid}: there is no such process. See ps") from None
    if (process := int(found["Tgid"])) != pid:
        raise UsageError(f"{pid}: is a thread, and a process moves as a whole. Give its process id, {process}")
    if found["State"].startswith(("Z", "X")):
        if int(found["Threads"]) > 1:
            raise UsageError(
                f"{pid}: its first thread has ended and others run on. The kernel would move these and still show the "
                "process where it is, so it could not be put back. Start it in the VE: rctl run"
            )
        raise NotFoundError(f"{pid}: has ended, and only waits for its parent to notice (a zombie). Attach others")


def became(pid: int) -> bool:
    """True if a forked process has become another program (PF_FORKNOEXEC is gone), even if it has ended since."""
    return not int(_stat(pid)[6]) & 0x40


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise NotFoundError(f"{pid}: there is no such process. See ps") from None


def move(ve: Cgroup, step: Move) -> None:
    """Move a process into the VE. Raises NotFoundError if it has ended, KernelError if the kernel refuses it."""
    if started(step.pid) != step.started:
        raise NotFoundError(f"{step.pid}: the process ended meanwhile")
    ve_cgroup.enter(ve, step.pid)


def move_back(ve: Cgroup, home: Cgroup, step: Move) -> None:
    """Move a process back, if it still exists and was not moved elsewhere since."""
    if is_in(ve, step):
        home.write(core.PROCS, str(step.pid))


def ended(step: Move) -> bool:
    """True if the process of the step has ended."""
    try:
        return started(step.pid) != step.started
    except NotFoundError:
        return True


def is_in(ve: Cgroup, step: Move) -> bool:
    """True if the process is in the cgroup itself; if that is threaded, if the process's first thread is.

    A threaded cgroup does not list processes; the one above it lists the processes of all of them as its own.
    """
    if ended(step):
        return False
    inside = ve.read_if_there(core.PROCS)
    if inside is None or threaded.kind(ve) == threaded.ABOVE:
        inside = ve.read_if_there(core.THREADS) or ""
    return str(step.pid) in inside.split()
