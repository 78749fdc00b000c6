"""Partitions beside and among the VEs of an adjustment: those that become valid again, and those that are refused.

A list with CPUs of a sibling's partition makes that invalid (up to Linux 6.12; Linux 7 leaves the CPUs to it). A
partition is invalid, too, if its own list leaves nothing to the cgroup above. When the CPUs are free again, the kernel
does not always check again, and never when the kind is only written once more: it must be a member in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import get_args

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...controllers.cpuset import CPUS, EXCLUSIVE, INVALID, MEMBER, PARTITION, PartitionKind, waits
from ...errors import BusyError, GoneError, NotFoundError, RctlError
from ...formats import Write
from ...ranges import Ranges
from ...signals import undisturbed
from .. import owner
from ..request import Change
from ..steps import Renew, Set, Step

KINDS = tuple(kind for kind in get_args(PartitionKind) if kind != MEMBER)
_LISTS = (CPUS.name, EXCLUSIVE.name)
_FILES = frozenset((*_LISTS, PARTITION.name))
_FILE = attrgetter("file")


def check(path: str, own: Iterable[str], beside: Mapping[str, str], removed: Collection[str] = ()) -> None:
    """Raise BusyError if no kernel makes the cgroup a partition.

    ``own``: its lists of CPUs. ``beside``: its siblings' lists by path, if a partition must not share CPUs with them,
    as before Linux 6.7; later the kernel decides. ``removed``: siblings that are removed, but later.
    """
    lists = [text for text in own if text]
    if not lists:
        raise BusyError(
            f"{PARTITION.name}: {path} has no CPUs of its own and cannot be a partition. Set cpuset.cpus, too"
        )
    if others := shared(lists[0], beside):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        cure = "Remove it first, by rctl rm" if others[0] in removed else "Give them other CPUs first, by cpuset.cpus"
        raise BusyError(
            f"{PARTITION.name}: {path} cannot be a partition: {others[0]}{more} may run on its CPUs, too. {cure}"
        )


def shared(text: str, beside: Mapping[str, str]) -> list[str]:
    """The paths of the lists that have some of the same numbers."""
    wanted = _numbers(text)
    return [path for path, other in beside.items() if not wanted.isdisjoint(_numbers(other))]


def relevant(steps: Sequence[Step]) -> list[Set]:
    """The steps that set lists of CPUs, and kinds of partitions."""
    if set(map(type, steps)) == {Set} and _FILES.isdisjoint(map(_FILE, steps)):
        return []  # nearly always so, for many VEs
    return [step for step in steps if isinstance(step, Set) and step.file in _FILES and step.path != "/"]


def asked(changes: Sequence[Change], sets: Iterable[Set]) -> set[str]:
    """The paths of those in ``sets`` that should become partitions."""
    paths = {change.path for change in changes if wished(change.writes)}
    return paths.intersection(step.path for step in sets)


def wished(writes: Iterable[Write]) -> bool:
    """True if these wishes make a VE a partition."""
    return any(write.file is PARTITION and write.wanted in KINDS for write in writes)


def concerned(
    tree: Tree,
    sets: Sequence[Set],
    cgroups: Mapping[str, Cgroup],
    removed: Iterable[str] = (),
    freed: Mapping[str, Collection[int]] | None = None,
    asked: Collection[str] = (),
) -> list[Renew]:
    """The partitions that may become valid or invalid with ``sets``, except those that ``sets`` change themselves.

    ``cgroups``: those of the steps. ``removed``: paths of cgroups that are removed. ``freed``: see ``Around``.
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
    own, apart = {step.path for step in lists}, {*chosen, *removed}
    found: list[Renew] = []
    changed = {_above(path) for path in own}
    for above in [above for above in given if given[above] or taken[above] or above in changed]:
        with suppress(NotFoundError, GoneError), tree.walk(above) as parent:
            for name in parent.children():
                path = f"{above.rstrip('/')}/{name}"
                if path in apart:
                    continue
                if path in own:
                    found += _step(cgroups[path], path in asked)
                    continue
                with suppress(NotFoundError, GoneError), parent.child(name) as child:
                    found += _step_beside(tree, child, given[above], taken[above])
    return found


def _step_beside(tree: Tree, cgroup: Cgroup, given: set[int], taken: set[int]) -> list[Renew]:
    """The step for a partition whose own lists stay. A partition that the caller may not write stays invalid."""
    found = _step(cgroup)
    if found and (taken if found[0].valid else given).isdisjoint(cpus(cgroup)):
        return []
    if found and not found[0].valid:
        try:
            cgroup.check_write(PARTITION.name, cgroup.path, "is left as it is")
            owner.check_if_applies(tree, cgroup.path)
        except RctlError:
            return []
    return found


def _step(cgroup: Cgroup, asked: bool = False) -> list[Renew]:
    """The step for a partition; none for a member."""
    kind, invalid, _ = (cgroup.read_if_there(PARTITION.name) or "").strip().partition(INVALID)
    return [Renew(cgroup.path, kind, valid=not invalid, asked=asked)] if kind in KINDS else []


def renew(cgroup: Cgroup, step: Renew) -> list[str]:
    """Make the kernel check again a partition that was invalid, now that CPUs are free. Returns notes for people.

    Its cgroup is locked; so if it is a member, a crash left it so.
    """
    return [] if step.valid else _renew(cgroup, step, member=True)


def put_back(cgroup: Cgroup, step: Renew, *, again: bool = False) -> list[str]:
    """The same after the lists are put back. ``again``: it was begun before a crash.

    Returns what could not be put back: a partition that was valid. An invalid one is left as it is.
    """
    left = _renew(cgroup, step, member=again or not step.valid)
    return left if step.valid else []


def _renew(cgroup: Cgroup, step: Renew, *, member: bool) -> list[str]:
    """``member``: if it is a member, make it a partition again."""
    now = (cgroup.read_if_there(PARTITION.name) or "").strip()
    kind, invalid, _ = now.partition(INVALID)
    if not (invalid and kind == step.kind) and not (member and now == MEMBER):
        return []
    with undisturbed():  # a Ctrl-C must not come between the two
        if invalid:
            cgroup.write(PARTITION.name, MEMBER)
        try:
            cgroup.write(PARTITION.name, step.kind)
        except RctlError as error:
            return [f"{cgroup.path}: its partition is a member now. Set {PARTITION.name}={step.kind}: {error}"]
    return []


def renew_all(steps: Iterable[Step], cgroups: Mapping[str, Cgroup]) -> list[str]:
    """``renew`` for all these steps. If one fails, it stays as it is. Returns notes for people."""
    notes: list[str] = []
    for step in steps:
        if isinstance(step, Renew):
            with suppress(RctlError):
                notes += renew(cgroups[step.path], step)
    return notes


def put_all_back(steps: Iterable[Step], cgroups: Mapping[str, Cgroup], *, again: bool = False) -> list[str]:
    """``put_back`` for all these steps. Returns what could not be put back."""
    left: list[str] = []
    for step in steps:
        if isinstance(step, Renew):
            with suppress(RctlError):
                left += put_back(cgroups[step.path], step, again=again)
    return left


def check_asked(cgroup: Cgroup, step: Renew) -> None:
    """Raise RctlError for a partition that must be valid, and is not."""
    if step.asked and INVALID in (now := cgroup.read(PARTITION.name).strip()) and not waits(now):
        raise RctlError(
            f"{PARTITION.name}: {cgroup.path} would be an invalid partition with these CPUs. {PARTITION.refused(now)}"
        )


def put_back_last(step: Step) -> bool:
    """True if a step is put back after all lists: they decide whether the partition is valid."""
    return isinstance(step, Set) and step.file == PARTITION.name and step.old != MEMBER


def cpus(cgroup: Cgroup) -> set[int]:
    """The CPUs of its lists; empty if it was removed."""
    with suppress(GoneError):
        return set().union(*(_numbers(cgroup.read_if_there(name) or "") for name in _LISTS))
    return set()


def _numbers(text: str) -> set[int]:
    return set(Ranges.parse(text).numbers)


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"
