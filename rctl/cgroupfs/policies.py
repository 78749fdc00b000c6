"""The scheduling policies of a VE's threads that the kernel's fair class does not have (sched(7))."""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import GoneError, KernelError, NotFoundError
from .cgroup import Cgroup
from .walk import walk

THREADS = "cgroup.threads"
_FAIR = frozenset({0, 3, 5})
"""SCHED_OTHER, SCHED_BATCH and SCHED_IDLE."""
_FLAGS = 0x40000000
"""SCHED_RESET_ON_FORK, which sched_getscheduler(2) adds."""
_MOST = 4096


def policies(top: Cgroup, most: int = _MOST) -> dict[int, list[int]]:
    """The ids of threads by policy, in the cgroup and below it; of the first ``most`` threads.

    Cgroups that were removed meanwhile, or may not be read, are left out.
    """
    found: dict[int, list[int]] = {}
    left = most
    for cgroup in [top] if _is_leaf(top) else (one for one, down in walk(top, _child, _children) if down):
        for tid in _threads(cgroup)[:left]:
            left -= 1
            with suppress(ProcessLookupError, PermissionError):
                if (policy := os.sched_getscheduler(tid) & ~_FLAGS) not in _FAIR:
                    found.setdefault(policy, []).append(tid)
        if not left:
            break
    return found


def _threads(cgroup: Cgroup) -> list[int]:
    """The ids of a cgroup's threads, without those that this process cannot see (0: another pid namespace)."""
    try:
        return [int(tid) for tid in (cgroup.read_if_there(THREADS) or "").split() if tid != "0"]
    except (GoneError, KernelError):
        return []


def _is_leaf(cgroup: Cgroup) -> bool:
    try:
        return cgroup.is_leaf()
    except (GoneError, KernelError):
        return False


def _child(here: Cgroup, name: str) -> Cgroup | None:
    with suppress(GoneError, NotFoundError, KernelError):
        return here.child(name)
    return None


def _children(cgroup: Cgroup) -> list[str]:
    with suppress(GoneError, KernelError):
        return cgroup.children()
    return []
