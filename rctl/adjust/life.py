"""The life of a VE's cgroups: who is inside, ending them, removing what is empty."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree, remove_soon
from ..controllers import core
from ..errors import BusyError, GoneError, NotFoundError


def processes(ve: Cgroup) -> list[int]:
    """Process ids in the VE and in all cgroups below it, each once. 0 is one of another pid namespace."""
    found: list[int] = []
    for cgroup in family(ve):
        with suppress(GoneError):
            text = cgroup.read_if_there(core.PROCS)
            found += map(int, text.split()) if text is not None else _owners(cgroup)
    return list(dict.fromkeys(found))


def _owners(cgroup: Cgroup) -> Iterator[int]:
    """The processes of the threads in a threaded cgroup, which does not tell processes (EOPNOTSUPP)."""
    for thread in (cgroup.read_if_there(core.THREADS) or "").split():
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{thread}/status") as lines:
            yield next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def family(ve: Cgroup) -> Iterator[Cgroup]:
    """Each cgroup below the VE, those inside it first, and the VE itself last.

    One descriptor is open at a time, however deep they lie: the way up is "..".
    """
    here, ways = ve, [ve.children()]
    try:
        while ways:
            step = here
            if ways[-1]:
                with suppress(NotFoundError):
                    step = here.child(ways[-1].pop())
                    ways.append(_children(step))
            else:
                ways.pop()
                yield here
                if ways:
                    step = here.child("..")
                    step.path = here.path.rpartition("/")[0]
            if here not in (ve, step):
                here.close()
            here = step
    finally:
        if here is not ve:
            here.close()


def _children(cgroup: Cgroup) -> list[str]:
    try:
        return cgroup.children()
    except GoneError:
        return []


def remove_empty(tree: Tree, ve: Cgroup, seconds: float) -> None:
    """Remove a VE and the cgroups below it. Raises BusyError when one of them has processes after ``seconds``."""
    for cgroup in family(ve):
        for child in _children(cgroup):
            remove_soon(cgroup, child, seconds)
    with tree.walk(ve.path.rpartition("/")[0] or "/") as base:
        remove_soon(base, ve.path.rpartition("/")[2], seconds)


def kill(ve: Cgroup, name: str, seconds: float) -> None:
    """``cgroup.kill`` where there is one (5.14), else SIGKILL to every process, for they fork, until none is left."""
    at_once = ve.has(core.KILL) and ve.read_if_there(core.PROCS) is not None  # a threaded one refuses
    if at_once:
        ve.write(core.KILL, "1")

    def dead() -> bool:
        for pid in () if at_once else processes(ve):
            if pid:  # 0 is one of another pid namespace
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return not core.parse({core.EVENTS: ve.read(core.EVENTS)}).populated

    _until(dead, seconds, f"{name}: not dead")


def _until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BusyError(f"{what} after {seconds:g} s; a process may hang in the kernel. See its /proc/PID/stack")
        time.sleep(0.005)
