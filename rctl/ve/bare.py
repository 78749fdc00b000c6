"""Bare VEs: a cgroup and limits, no root file system. Make, fill, empty, remove."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..adjust import single_writer
from ..adjust.apply import Progress, quiet
from ..adjust.engine import Account, Options, adjust
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree, remove_soon
from ..controllers import core
from ..errors import BusyError, NotFoundError, RctlError, UsageError
from ..host import Host
from ..limits import Limits


def exists(tree: Tree, name: str) -> bool:
    """Whether there is such a VE. Raises UsageError for what is no name."""
    try:
        tree.open_ve(name).close()
    except NotFoundError:
        return False
    return True


def make(tree: Tree, name: str) -> Cgroup:
    """Make an empty managed VE and open it. Raises UsageError for a foreign name, BusyError when it exists."""
    path = managed_path(tree, name)
    with tree.walk(path.rpartition("/")[0] or "/") as base:
        ve = base.make(path.rpartition("/")[2])
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
    """Make the VEs that do not exist yet, and remove them again when what is done with them fails."""
    made: list[str] = []
    try:
        for name in names:
            if not exists(tree, name):
                make(tree, name).close()
                made.append(name)
        yield made
    except BaseException:
        for name in made:
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
    path = managed_path(tree, name)
    with tree.open_ve(name) as ve:
        inside = processes(ve)
        if inside and not kill:
            raise BusyError(
                f"{name}: has {len(inside)} process(es), the first is {inside[0]}. Stop them, or use rctl rm --kill"
            )
        if inside:
            _kill(ve)
            _until(lambda: not core.parse({core.EVENTS: ve.read(core.EVENTS)}).populated, seconds, f"{name}: not dead")
        _remove_below(ve, seconds)
    with tree.walk(path.rpartition("/")[0] or "/") as base:
        remove_soon(base, path.rpartition("/")[2], seconds)
    return len(inside)


def processes(ve: Cgroup) -> list[int]:
    """Process ids in the VE and in all cgroups below it."""
    found = [int(pid) for pid in (ve.read_if_there(core.PROCS) or "").split()]
    for name in ve.children():
        with ve.child(name) as below:
            found += processes(below)
    return found


def enter(ve: Cgroup) -> None:
    """Move the calling process into the VE. Its memory so far stays charged where it was."""
    ve.write(core.PROCS, "0")


def attach(ve: Cgroup, pids: Sequence[int]) -> None:
    """Move processes into the VE, all or none. A process is known by its id and start time, so none is mistaken.

    Raises NotFoundError for a process that is not there, KernelError when the kernel refuses one.
    """
    import psutil

    try:
        known = [(psutil.Process(pid), _cgroup_of(pid)) for pid in pids]
    except (psutil.NoSuchProcess, FileNotFoundError, ValueError):
        missing = next(pid for pid in pids if not psutil.pid_exists(pid))
        raise NotFoundError(f"{missing}: there is no such process. See ps") from None
    moved: list[tuple[psutil.Process, str]] = []
    try:
        for process, before in known:
            if not process.is_running():
                raise NotFoundError(f"{process.pid}: the process ended meanwhile")
            ve.write(core.PROCS, str(process.pid))
            moved.append((process, before))
    except RctlError:
        with Tree.open() as tree:
            for process, before in reversed(moved):
                if process.is_running():
                    with tree.walk(before) as home:
                        home.write(core.PROCS, str(process.pid))
        raise


def _cgroup_of(pid: int) -> str:
    """The process's cgroup2 path (cgroups(7), /proc/PID/cgroup)."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
        return next(line.rstrip("\n")[3:] for line in lines if line.startswith("0::"))


def _kill(ve: Cgroup) -> None:
    """``cgroup.kill`` where there is one (5.14), else SIGKILL to every process until none is left."""
    if ve.has(core.KILL):
        ve.write(core.KILL, "1")
        return
    for pid in processes(ve):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _remove_below(ve: Cgroup, seconds: float) -> None:
    for name in ve.children():
        with ve.child(name) as below:
            _remove_below(below, seconds)
        remove_soon(ve, name, seconds)


def _until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BusyError(f"{what} after {seconds:g} s; a process may hang in the kernel. See its /proc/PID/stack")
        time.sleep(0.005)
