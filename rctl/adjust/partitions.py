"""Partitions beside and among the VEs of an adjustment: which become valid again with it, and which are refused.

Before Linux 6.7 a list with CPUs of a sibling's partition makes that invalid; from then on only if it has no others. A
partition is invalid, too, when its own list leaves nothing to the cgroup above. The kernel does not always look again
when the CPUs are free, and never when the kind is written once more: it must have been a member in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers.cpuset import CPUS, EXCLUSIVE, INVALID, MEMBER, PARTITION, waits
from ..errors import OUT_OF, BusyError, GoneError, NotFoundError, RctlError
from ..signals import undisturbed
from ..units import Ranges
from .plan import Change, Renew, Set, Step

KINDS = ("root", "isolated")
_LISTS = (CPUS.name, EXCLUSIVE.name)
_FILES = frozenset((*_LISTS, PARTITION.name))


def check(path: str, own: Iterable[str], beside: Mapping[str, str], removed: Collection[str] = ()) -> None:
    """Raises BusyError where no kernel makes the cgroup a partition.

    ``own``: its lists of CPUs. ``beside``: those of its siblings by path, which count where the kernel has no list of
    exclusive CPUs (before Linux 6.7): there a partition shares none with them. ``removed``: those that go, but later.
    """
    lists = [text for text in own if text]
    if not lists:
        raise BusyError(
            f"{PARTITION.name}: {path} has no CPUs of its own, so it can be no partition. Set cpuset.cpus, too"
        )
    if others := shared(lists[0], beside):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        cure = "Remove it first, by rctl rm" if others[0] in removed else "Give them other CPUs first, by cpuset.cpus"
        raise BusyError(
            f"{PARTITION.name}: {path} can be no partition: {others[0]}{more} may run on its CPUs, too. {cure}"
        )


def shared(text: str, beside: Mapping[str, str]) -> list[str]:
    """The paths of those whose lists have some of the same numbers."""
    wanted = _numbers(text)
    return [path for path, other in beside.items() if not wanted.isdisjoint(_numbers(other))]


def relevant(steps: Iterable[Step]) -> list[Set]:
    """The steps that set lists of CPUs, and kinds of partitions."""
    return [step for step in steps if isinstance(step, Set) and step.file in _FILES and step.path != "/"]


def asked(changes: Sequence[Change], sets: Iterable[Set]) -> set[str]:
    """The paths of those of ``sets`` that are wished to be partitions."""
    wished = {
        change.path
        for change in changes
        if any(write.file is PARTITION and write.wanted in KINDS for write in change.writes)
    }
    return wished.intersection(step.path for step in sets)


def concerned(
    tree: Tree,
    sets: Sequence[Set],
    cgroups: Mapping[str, Cgroup],
    removed: Iterable[str] = (),
    freed: Mapping[str, Collection[int]] | None = None,
    asked: Collection[str] = (),
) -> list[Renew]:
    """The partitions that may become valid or invalid with ``sets``, but for those that these set themselves.

    ``cgroups``: those of the steps. ``removed``: paths of those that go. ``freed``: see ``Around``.
    ``asked``: paths of those that must be valid in the end.
    """
    lists = [step for step in sets if step.file in _LISTS]
    chosen = {step.path: step.new for step in sets if step.file == PARTITION.name}
    given, taken = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for step in lists:
        old, new = _numbers(step.old), _numbers(step.new)
        given[_above(step.path)] |= old - new
        taken[_above(step.path)] |= new - old if step.file == CPUS.name else set()
    for path in (*removed, *(path for path, kind in chosen.items() if kind == MEMBER)):
        given[_above(path)] |= cpus(cgroups[path])
    for above, numbers in (freed or {}).items():
        given[above] |= set(numbers)
    own = {step.path for step in lists}
    found: list[Renew] = []
    for above in given:
        with suppress(NotFoundError, GoneError), tree.walk(above) as parent:
            for name in parent.children():
                try:
                    with parent.child(name) as child:
                        if child.path not in chosen:
                            found += _needed(child, given[above], taken[above], child.path in own, child.path in asked)
                except RctlError as error:
                    if getattr(error, "errno", 0) in OUT_OF:
                        raise
    return found


def _needed(cgroup: Cgroup, given: set[int], taken: set[int], own: bool, asked: bool) -> list[Renew]:
    """Its step, if it needs one. ``own``: its own list changes."""
    kind, invalid, _ = (cgroup.read_if_there(PARTITION.name) or "").strip().partition(INVALID)
    if kind not in KINDS:
        return []
    if not own and (given if invalid else taken).isdisjoint(cpus(cgroup)):
        return []
    return [Renew(cgroup.path, kind, valid=not invalid, asked=asked)]


def _renew(cgroup: Cgroup, step: Renew, *, back: bool = False) -> list[str]:
    """Have the kernel look again at a partition that is invalid. ``back``: what the adjustment changed was put back.

    One that is a member was left so by a crash in between, for its cgroup is locked. Returns notes for people.
    """
    now = (cgroup.read_if_there(PARTITION.name) or "").strip()
    if now != step.kind and (back or not step.valid) and (INVALID in now or now == MEMBER):
        with undisturbed():  # a Ctrl-C must not come between the two
            if now != MEMBER:
                cgroup.write(PARTITION.name, MEMBER)
            try:
                cgroup.write(PARTITION.name, step.kind)
            except RctlError as error:
                return [f"{cgroup.path}: its partition is a member now. Set {PARTITION.name}={step.kind}: {error}"]
    return []


def check_asked(cgroup: Cgroup, step: Renew) -> None:
    """Raises RctlError for a partition that must be valid, and is not."""
    if step.asked and INVALID in (now := cgroup.read(PARTITION.name).strip()) and not waits(now):
        raise RctlError(f"{PARTITION.name}: {cgroup.path} would be {now} with these CPUs. {PARTITION.refused(now)}")


def renew_all(steps: Iterable[Step], cgroups: Mapping[str, Cgroup], *, back: bool = False) -> list[str]:
    """The same for all these steps. One that may not be written stays as it is. Returns notes for people."""
    notes: list[str] = []
    for step in steps:
        if isinstance(step, Renew):
            with suppress(RctlError):
                notes += _renew(cgroups[step.path], step, back=back)
    return notes


def put_back_last(step: Step) -> bool:
    """Whether a step is put back when all lists are as before: they decide whether the partition is valid."""
    return isinstance(step, Set) and step.file == PARTITION.name and step.old != MEMBER


def begin_anew(ve: Cgroup, old: str) -> None:
    """Before a kind is written: one that is invalid is no partition, and the kernel must be told so."""
    if INVALID in old:
        ve.write(PARTITION.name, MEMBER)


def cpus(cgroup: Cgroup) -> set[int]:
    """The CPUs of its lists; none where it is gone."""
    with suppress(GoneError):
        return set().union(*(_numbers(cgroup.read_if_there(name) or "") for name in _LISTS))
    return set()


def _numbers(text: str) -> set[int]:
    return set(Ranges.parse(text).numbers)


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"
