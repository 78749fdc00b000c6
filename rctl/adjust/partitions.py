"""Partitions that were made invalid, and become valid again.

Before Linux 6.7 a list with CPUs of a sibling's partition makes that invalid, and the kernel does not look at it again
when the list lets go of them. Nor does it when the kind is written once more: it must have been a member in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..controllers.cpuset import CPUS, INVALID, MEMBER, PARTITION
from ..errors import RctlError
from ..units import Ranges
from .plan import Set, Step


def look_again(steps: Iterable[Step], cgroups: Mapping[str, Cgroup], *, back: bool = False) -> None:
    """Have the kernel look again at invalid partitions beside VEs that gave up CPUs of theirs, once for each parent.

    ``back``: the steps were put back. A partition that may not be written stays as it is: that its CPUs are free is all
    that was asked for.
    """
    given_up: dict[str, set[int]] = {}
    beside: dict[str, str] = {}
    for step in steps:
        if isinstance(step, Set) and step.file == CPUS.name and step.path != "/":
            old, new = (step.new, step.old) if back else (step.old, step.new)
            if less := set(Ranges.parse(old).numbers).difference(Ranges.parse(new).numbers):
                above = step.path.rpartition("/")[0]
                given_up.setdefault(above, set()).update(less)
                beside[above] = step.path
    for above, cpus in given_up.items():
        with suppress(RctlError), cgroups[beside[above]].above() as parent:
            for name in parent.children():
                with suppress(RctlError), parent.child(name) as sibling:
                    _renew(sibling, cpus)


def _renew(cgroup: Cgroup, cpus: set[int]) -> None:
    kind, invalid, _ = (cgroup.read_if_there(PARTITION.name) or "").partition(INVALID)
    if invalid and cpus.intersection(Ranges.parse(cgroup.read(CPUS.name)).numbers):
        cgroup.write(PARTITION.name, MEMBER)
        cgroup.write(PARTITION.name, kind)


def begin_anew(ve: Cgroup, old: str) -> None:
    """Before a kind is written: one that is invalid is no partition, and the kernel must be told so."""
    if INVALID in old:
        ve.write(PARTITION.name, MEMBER)
