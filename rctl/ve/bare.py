"""Bare VEs: a cgroup and limits, no root file system. Make, fill, empty, remove."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

from ..adjust import single_writer, threaded
from ..adjust.account import Account
from ..adjust.engine import Options, adjust
from ..adjust.life import family, processes, remove_empty
from ..adjust.life import kill as end
from ..adjust.progress import Progress, quiet
from ..cgroupfs import room
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import BusyError, GoneError, KernelError, NotAvailableError, NotFoundError, RctlError, UsageError
from ..formats import flat_keyed
from ..host import Host
from ..limits import Limits
from ..units import human_size


def exists(tree: Tree, name: str) -> bool:
    """Whether there is such a VE. Raises UsageError for what is no name."""
    try:
        tree.open_ve(name).close()
    except NotFoundError:
        return False
    return True


def make(tree: Tree, name: str) -> Cgroup:
    """Make an empty managed VE and open it.

    Raises UsageError for a foreign name, BusyError when it exists, NotAvailableError when the caller may not.
    """
    path = managed_path(tree, name)
    with tree.walk(path.rpartition("/")[0] or "/") as base:
        try:
            ve = base.make(path.rpartition("/")[2])
        except KernelError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise room.explained(base, path.rpartition("/")[2], error) from None
            why = os.strerror(error.errno).lower()
            raise NotAvailableError(
                f"{name}: cannot be made below {base.path}: {why}. "
                "Run as root, or set RCTL_TREE to a cgroup that you own"
            ) from None
    try:
        if single_writer.applies():
            single_writer.check(tree, ve)
    except RctlError:
        ve.close()
        remove(tree, name)
        raise
    return ve


def managed_path(tree: Tree, name: str) -> str:
    """The path of a managed VE. Raises UsageError for a foreign one, which is not rctl's to make or remove."""
    path = tree.path(name)
    if tree.name(path) == path:
        raise UsageError(f"{name}: not a VE of rctl's own. Give a plain name, such as web1")
    return path


@contextmanager
def made_for(tree: Tree, names: Iterable[str]) -> Iterator[list[str]]:
    """Make the VEs that do not exist yet, and remove them again when what is done with them fails.

    One that has processes then, which somebody else put there, stays.
    """
    made: list[str] = []
    try:
        for name in names:
            if not exists(tree, name):
                make(tree, name).close()
                made.append(name)
        yield made
    except BaseException:
        for name in made:
            with suppress(BusyError, NotFoundError, GoneError):
                remove(tree, name)
        raise


def apply(
    tree: Tree,
    limits: Mapping[str, Limits],
    host: Host,
    options: Options,
    progress: Progress = quiet,
) -> tuple[list[str], Account]:
    """Make the VEs that are missing and set the limits of all, as one. Returns the names made and the account."""
    with made_for(tree, limits) as made:
        return made, adjust(tree, limits, host, options, progress)


def remove(tree: Tree, name: str, kill: bool = False, seconds: float = 10.0) -> int:
    """Remove a managed VE and the cgroups below it. ``kill``: end its processes first. Returns how many were killed.

    Raises NotFoundError; BusyError while it holds processes and ``kill`` is not given, or they outlive ``seconds``.
    """
    managed_path(tree, name)
    with tree.open_ve(name) as ve:
        inside = processes(ve) if kill else check_empty(ve, name)
        if inside:
            end(ve, name, seconds)
        remove_empty(tree, ve, seconds)
    return len(inside)


def check_removable(tree: Tree, names: Iterable[str], kill: bool = False) -> None:
    """Raises before anything is removed: UsageError for a foreign one, BusyError as ``remove`` does."""
    for name in names:
        managed_path(tree, name)
        if not kill:
            with suppress(NotFoundError), tree.open_ve(name) as ve:
                check_empty(ve, name)


def would_go(tree: Tree, name: str) -> str:
    """What ``remove`` would do to a VE, for people. Raises NotFoundError."""
    with tree.open_ve(name) as ve:
        inside = len(processes(ve))
        below = sum(1 for _ in family(ve)) - 1
    parts = [f"{inside} process(es) killed"] * bool(inside) + [f"{below} cgroup(s) below it as well"] * bool(below)
    return ", ".join(["would be removed", *parts])


def killed_for_memory(ve: Cgroup, name: str) -> str | None:
    """A line for people when the kernel has killed in the VE for want of memory (``memory.events``)."""
    killed = flat_keyed(ve.read_if_there("memory.events") or "").get("oom_kill", 0)
    if not killed:
        return None
    limit = (ve.read_if_there("memory.max") or "max").strip()
    cause = "" if limit == "max" else f" (memory.max is {human_size(int(limit))})"
    return f"{name}: out of memory: the kernel killed {killed} process(es){cause}. Raise memory.max, or see rctl show"


def check_empty(ve: Cgroup, name: str) -> list[int]:
    """No processes, in the VE or below. Raises BusyError when there are some."""
    if inside := processes(ve):
        raise BusyError(
            f"{name}: has {len(inside)} process(es), the first is {inside[0]}. Stop them, or use rctl rm --kill"
        )
    return inside


def enter(ve: Cgroup) -> None:
    """Move the calling process into the VE. Its memory so far stays charged where it was. Raises RctlError."""
    threaded.check_enter(ve)
    ve.write(core.PROCS, "0")


def attach(ve: Cgroup, pids: Sequence[int]) -> None:
    """Move processes into the VE, all or none. A process is known by its id and start time, so none is mistaken.

    Raises NotFoundError for a process that is not there, KernelError when the kernel refuses one.
    """
    if 1 in pids:
        raise UsageError("1: is the system's first process, and all others end with it. Attach others")
    import psutil

    try:
        known = [psutil.Process(pid) for pid in pids]
    except (psutil.NoSuchProcess, ValueError):
        missing = next(pid for pid in pids if not psutil.pid_exists(pid))
        raise NotFoundError(f"{missing}: there is no such process. See ps") from None
    threaded.check_enter(ve)
    with ExitStack() as stack:
        homes = [stack.enter_context(home(pid)) for pid in pids] if len(pids) > 1 else []
        moved: list[psutil.Process] = []
        try:
            for process in known:
                if not process.is_running():
                    raise NotFoundError(f"{process.pid}: the process ended meanwhile")
                ve.write(core.PROCS, str(process.pid))
                moved.append(process)
        except RctlError:
            for process, before in reversed(list(zip(moved, homes, strict=False))):
                if process.is_running():
                    before.write(core.PROCS, str(process.pid))
            raise


def home(pid: int | str) -> Cgroup:
    """The cgroup in which a process is (``self``: the caller's), held open so that the process can be put back.

    Raises NotFoundError when there is no such process, NotAvailableError when its cgroup is not to be seen from here.
    """
    try:
        with Tree.open() as tree:
            path = tree.cgroup_of(pid)
            if path is not None:
                return tree.walk(path)
    except (FileNotFoundError, ProcessLookupError):
        raise NotFoundError(f"{pid}: there is no such process. See ps") from None
    raise NotAvailableError(
        f"{pid}: its cgroup lies outside this cgroup namespace or mount, so it could not be put back there. "
        "Move it alone, or run rctl outside the container"
    )
