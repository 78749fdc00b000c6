"""The plan: an ordered list of steps that can describe themselves. Pure. ``--dry-run`` prints the same steps as a run.

Order: first the plan lowers limits, children before parents; then it raises limits, parents before children. So no
moment allows more than the old or the new limits, memory and swap together included. Within one VE, ``File.rank``
lowers the burst before the quota and the cpuset before its partition, and raises them the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from ...controllers import core, memory
from ...formats import File, Write
from ...units import MAX, amount
from ..request import Change, Through
from ..steps import Disable, Enable, Reclaim, Remove, Renew, Set, SetThrough, Step, Want


def steps(
    changes: Sequence[Change], switches: Sequence[Enable | Disable] = (), force: bool = False
) -> tuple[Step, ...]:
    """All differences in a safe order: controllers are enabled first and disabled last. Empty: there is no difference.

    ``force``: lower ``memory.max`` at once, even below the memory in use (the kernel may then kill).
    Raises ValueError if a wish contradicts the present entry.
    """
    ordered: list[tuple[_Order, Any]] = []
    compare = _compare if len(changes) == 1 else cache(_compare)  # many VEs share wishes and texts
    for change in changes:
        if force or _MAX not in change.texts:
            _compare_all(change, compare, ordered)
        else:
            found: list[tuple[_Order, Set]] = []
            _compare_all(change, compare, found)
            ordered += _gently(change, found)
    ordered.sort(key=_ORDER)
    limits = [step for _, step in ordered]
    if not switches:
        return tuple(limits)
    enables = (step for step in switches if isinstance(step, Enable))
    disables = (step for step in switches if isinstance(step, Disable))
    return (*enables, *limits, *disables)


_WRITES = attrgetter("writes")
_SETS = frozenset((Set, SetThrough))


def held(changes: Sequence[Change], steps: Sequence[Step]) -> list[Want]:
    """The wishes for entries that have the wished value already, so that there is no step for them.

    Without those that only come along with a limit that changes (``cpu.idle`` with ``cpu.weight``): that one implies
    them.
    """
    if len(steps) == sum(map(len, map(_WRITES, changes))) and {*map(type, steps)} <= _SETS:
        return []  # nearly always so: each wish has its step
    done = {(step.path, step.file, step.key) for step in steps if isinstance(step, Set)}
    found: list[Want] = []
    for change in changes:
        path, texts = change.path, change.texts
        for write in [one for one in change.writes if (path, one.file.name, one.key) not in done]:
            text = texts.get(write.file.name)
            if text is None or not write.exact or write.file is core.FREEZE:
                continue
            comes_along = write.if_there and any(
                not one.if_there and (path, one.file.name, one.key) in done for one in change.writes
            )
            if not comes_along:
                found.append(Want(path, write.file.name, write.file.entry(text, write.key), write.key))
    return found


def ended(limits: Sequence[Step], last: Sequence[Step], renewed: Sequence[Renew] = ()) -> tuple[Step, ...]:
    """Limits, then the partitions to be ``renewed``, then the ``last`` steps.

    If VEs are removed, partitions are looked at after the removals, except those that must be valid: until then,
    everything can be put back. Controllers are disabled at the end. Until then a VE that is to be removed keeps them:
    if another program fills it meanwhile, it stays, with its limits.
    """
    if not any(isinstance(step, Remove) for step in last):
        return (*limits, *renewed, *last)
    off = [step for step in limits if isinstance(step, Disable)]
    first = [step for step in renewed if step.asked]
    then = [step for step in renewed if not step.asked]
    return (*(step for step in limits if not isinstance(step, Disable)), *first, *last, *then, *off)


_Order = tuple[int, int, float]
"""The order: 0 for lowering and 1 for raising, then the depth (deepest first when lowering), then the rank."""
_TOGETHER = 0.5
"""The rank of all that an owner sets, so that it is set in one call: after the burst and the partition when lowering,
which only files have, and before them when raising."""
_Placed = tuple[_Order, Step]
_ORDER = itemgetter(0)
_MAX = memory.MAX.name
_Facts = tuple[str, str, str, str, bool, tuple[tuple[str, str], ...], str]
"""The fields of a ``Set`` after its path that a plan knows at first, in order."""
_Difference = tuple[_Order, _Facts, tuple[File, ...]]
"""A path and the fields to set there, and the files that this disturbs."""
_Compare = Callable[[Write, str | None, int], _Difference | None]


def _compare_all(change: Change, compare: _Compare, found: list[tuple[_Order, Set]]) -> None:
    """Add the steps of a change to ``found``."""
    path, texts = change.path, change.texts
    depth = path.count("/")
    for write in _compare_through(change, change.through, found) if change.through else change.writes:
        if differs := compare(write, texts.get(write.file.name), depth):
            order, facts, others = differs
            step = Set(path, *facts)
            if others:
                disturbed = tuple((file.name, file.entry(texts[file.name])) for file in others)
                step = msgspec.structs.replace(step, disturbed=disturbed)
            found.append((order, step))


def _compare_through(
    change: Change, through: Mapping[tuple[str, str], Through], found: list[tuple[_Order, Set]]
) -> list[Write]:
    """Add the steps of other writers: also if the entry stays the same and its owner's form does not.

    What such a step disturbs is the owner's to put back, with the form. Returns the wishes that go to ``files``.
    """
    path, texts = change.path, change.texts
    depth = path.count("/")
    own_order: list[tuple[_Order, Set]] = []
    left: list[Write] = []
    for write in change.writes:
        file, key = write.file, write.key
        if (way := through.get((file.name, key))) is None:
            left.append(write)
            continue
        old = file.entry(texts.get(file.name), key)
        new = file.merge(old, write.wanted)
        own = way.form(file, key, new, kept=way.kept) if way.own is None else way.own
        if old == new and own in ("", way.kept):
            continue
        why = file.remark(old, write.wanted, new)
        step = SetThrough(path, file.name, old, new, key, write.exact, (), why, False, way.writer, way.kept, own)
        own_order.append((_order(file.lowers(old, new), depth, file.rank), step))
    own_order.sort(key=_ORDER)
    found += [(_order(not raises, depth, _TOGETHER), step) for (raises, _, _), step in own_order]
    return left


def _compare(write: Write, text: str | None, depth: int) -> _Difference | None:
    file = write.file
    if text is None and write.if_there:
        return None
    old = file.entry(text, write.key)
    new = file.merge(old, write.wanted)
    if old == new:
        return None
    facts = (file.name, old, new, write.key, write.exact, (), file.remark(old, write.wanted, new))
    return _order(file.lowers(old, new), depth, file.rank), facts, file.disturbs


def _order(lowers: bool, depth: int, rank: float) -> _Order:
    """The place of a step: what is lowered comes first."""
    return (0, -depth, rank) if lowers else (1, depth, -rank)


def _gently(change: Change, found: list[tuple[_Order, Set]]) -> Sequence[_Placed]:
    """The steps if ``memory.max`` goes below the use: ``memory.high`` holds the VE there, then reclaim, then set.

    Swap that the same plan gives comes before the reclaim, which may need it; ``memory.high`` already holds the VE to
    its new size then.
    """
    files = [step.file for _, step in found]
    if _MAX not in files:
        return found
    order, limit = found[at := files.index(_MAX)]
    if not memory.MAX.lowers(limit.old, limit.new):
        return found
    usage, goal = int(change.texts["memory.current"] or 0), int(limit.new)
    high = memory.HIGH.entry(change.texts[memory.HIGH.name])
    step = msgspec.structs.replace(limit, gentle=True, disturbed=((memory.HIGH.name, high),))
    found[at] = order, step
    if usage <= goal:
        return found
    own = {placed.file: placed for _, placed in found}
    wished, swap = own.get(memory.HIGH.name), own.get(memory.SWAP_MAX.name)
    gives = swap if swap is not None and not memory.SWAP_MAX.lowers(swap.old, swap.new) else None
    final = wished.new if wished else high
    held = str(min([goal, *(int(size) for size in (high, final) if amount(size) is not MAX)]))
    why = "holds the VE back while memory is reclaimed"
    group: tuple[Step | None, ...] = (
        Set(change.path, memory.HIGH.name, high, held, why=why) if held != high else None,
        gives,
        Reclaim(change.path, goal, usage),
        step,
        _then(wished, change.path, held, final),
    )
    taken = (step, wished, gives)
    rest = [(order, placed) for order, placed in found if not any(placed is one for one in taken)]
    return [*[(order, placed) for placed in group if placed is not None], *rest]


def _then(wished: Set | None, path: str, held: str, final: str) -> Set | None:
    """The last step of ``memory.high``: as it is wished, by the wished writer, or as it was.

    A writer's own step is from the value before it was held: its owner knows no other.
    """
    if isinstance(wished, SetThrough):
        return wished
    return Set(path, memory.HIGH.name, held, final) if final != held else None
