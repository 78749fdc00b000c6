"""Partitions that were made invalid, and become valid again.

Before Linux 6.7 a list with CPUs of a sibling's partition makes that invalid, and the kernel does not look at it again
when the list lets go of them. Nor does it when the kind is written once more: it must have been a member in between.
"""

from __future__ import annotations

from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..controllers.cpuset import CPUS, INVALID, MEMBER, PARTITION
from ..errors import RctlError
from ..units import Ranges


def look_again(ve: Cgroup, old: str, new: str) -> None:
    """Have the kernel look again at the invalid partitions beside the VE whose CPUs it had, and has no more.

    One that may not be written stays as it is: that its CPUs are free is all that was asked for.
    """
    given_up = set(Ranges.parse(old).numbers).difference(Ranges.parse(new).numbers)
    if not given_up or ve.path == "/":
        return
    with suppress(RctlError), ve.above() as parent:
        for name in parent.children():
            with suppress(RctlError), parent.child(name) as sibling:
                kind, invalid, _ = (sibling.read_if_there(PARTITION.name) or "").partition(INVALID)
                if invalid and given_up.intersection(Ranges.parse(sibling.read(CPUS.name)).numbers):
                    sibling.write(PARTITION.name, MEMBER)
                    sibling.write(PARTITION.name, kind)


def begin_anew(ve: Cgroup, old: str) -> None:
    """Before a kind is written: one that is invalid is no partition, and the kernel must be told so."""
    if INVALID in old:
        ve.write(PARTITION.name, MEMBER)
