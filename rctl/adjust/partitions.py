"""Partitions that were made invalid, and become valid again.

Before Linux 6.7 a list with CPUs of a sibling's partition makes that invalid, and the kernel does not look at it again
when the list lets go of them. Nor does it when the kind is written once more: it must have been a member in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers.cpuset import CPUS, EXCLUSIVE, INVALID, MEMBER, PARTITION
from ..errors import BusyError, RctlError
from ..signals import undisturbed
from ..units import Ranges
from .plan import Remove, Set, Step


def check(step: Set, own: Iterable[str], beside: Mapping[str, str]) -> None:
    """Raises BusyError where the cgroup is to become a partition, and no kernel makes it one.

    ``own``: its lists of CPUs. ``beside``: those of its siblings by path, which count where the kernel has no list of
    exclusive CPUs (before Linux 6.7): there a partition shares none with them.
    """
    if step.new not in ("root", "isolated"):
        return
    lists = [text for text in own if text]
    if not lists:
        raise BusyError(
            f"{step.file}: {step.path} has no CPUs of its own, so it can be no partition. Set cpuset.cpus, too"
        )
    if others := shared(lists[0], beside):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise BusyError(
            f"{step.file}: {step.path} can be no partition: {others[0]}{more} may run on its CPUs, too. "
            "Give them other CPUs first, by cpuset.cpus"
        )


def check_now(ve: Cgroup, step: Set) -> None:
    """The same by what is there, right before it is written."""
    if step.new not in ("root", "isolated"):
        return
    exclusive = ve.read_if_there(EXCLUSIVE.name)
    beside: dict[str, str] = {}
    if exclusive is None and step.path != "/":
        with ve.above() as parent:
            for name in parent.children():
                with suppress(RctlError), parent.child(name) as sibling:
                    if sibling.ino != ve.ino:
                        beside[sibling.path] = (sibling.read_if_there(CPUS.name) or "").strip()
    check(step, [(ve.read_if_there(CPUS.name) or "").strip(), (exclusive or "").strip()], beside)


def shared(text: str, beside: Mapping[str, str]) -> list[str]:
    """The paths of those whose lists have some of the same numbers."""
    wanted = set(Ranges.parse(text).numbers)
    return [path for path, other in beside.items() if not wanted.isdisjoint(Ranges.parse(other).numbers)]


def look_again(steps: Iterable[Step], cgroups: Mapping[str, Cgroup], *, back: bool = False) -> list[str]:
    """Have the kernel look again at invalid partitions beside VEs that gave up CPUs of theirs, once for each parent.

    ``back``: the steps were put back. A partition that may not be written stays as it is: that its CPUs are free is all
    that was asked for. Returns notes for people, about those that are members now.
    """
    notes: list[str] = []
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
            notes += _renew_below(parent, cpus)
    return notes


def look_again_after_crash(tree: Tree, steps: Iterable[Step]) -> list[str]:
    """After a crash: have the kernel look again at every invalid partition beside cgroups that gave up CPUs, or went.

    Nobody knows any more which CPUs a removed one had. A partition that still shares its CPUs stays invalid.
    """
    gave_up = (step for step in steps if isinstance(step, Remove) or (isinstance(step, Set) and step.file == CPUS.name))
    notes: list[str] = []
    for above in dict.fromkeys(step.path.rpartition("/")[0] or "/" for step in gave_up if step.path != "/"):
        with suppress(RctlError), tree.walk(above) as parent:
            notes += _renew_below(parent, None)
    return notes


@contextmanager
def letting_go(ve: Cgroup, notes: list[str]) -> Iterator[None]:
    """The same for a VE that the block removes. ``notes`` grow."""
    cpus = set(Ranges.parse(ve.read_if_there(CPUS.name) or "").numbers) if ve.path != "/" else set()
    if not cpus:
        yield
        return
    with ve.above() as parent:
        yield
        with suppress(RctlError):
            notes += _renew_below(parent, cpus)


def _renew_below(parent: Cgroup, cpus: set[int] | None) -> list[str]:
    """``cpus``: those that were given up; ``None``: not known."""
    notes: list[str] = []
    for name in parent.children():
        with suppress(RctlError), parent.child(name) as sibling:
            notes += _renew(sibling, cpus)
    return notes


def _renew(cgroup: Cgroup, cpus: set[int] | None) -> list[str]:
    kind, invalid, _ = (cgroup.read_if_there(PARTITION.name) or "").partition(INVALID)
    if not invalid or (cpus and cpus.isdisjoint(Ranges.parse(cgroup.read(CPUS.name)).numbers)):
        return []
    with undisturbed():  # a Ctrl-C must not come between the two
        cgroup.write(PARTITION.name, MEMBER)
        try:
            cgroup.write(PARTITION.name, kind)
        except RctlError as error:
            return [f"{cgroup.path}: its invalid partition is a member now. Set {PARTITION.name}={kind} again: {error}"]
    return []


def begin_anew(ve: Cgroup, old: str) -> None:
    """Before a kind is written: one that is invalid is no partition, and the kernel must be told so."""
    if INVALID in old:
        ve.write(PARTITION.name, MEMBER)
