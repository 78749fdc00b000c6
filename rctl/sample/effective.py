"""The bounds of a VE: for each limit the lowest on the way up to the host, the cgroup that sets it, and the room left.

A limit holds for a cgroup and all cgroups below, so the VE's own limit is only one of several
(https://docs.kernel.org/admin-guide/cgroup-v2.html#limits). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache

import msgspec

from ..controllers.cpu import cpus_of
from ..ranges import Ranges
from ..units import MAX, Amount, amount, as_number
from .levels import BINDING, Level, use_of

_CPUSET = "cpuset.cpus.effective"
_amount = lru_cache(1 << 10)(amount)  # thousands of VEs have few different limits
_ranges: Callable[[str], Ranges] = lru_cache(1 << 8)(Ranges.parse)


class Bound(msgspec.Struct, frozen=True):
    """The lowest limit and the path of the cgroup that sets it, or ``host``; ``""`` if nothing binds.

    ``limit``: bytes or a count; CPUs for ``cpu.max``; the list itself for ``cpuset.cpus``. ``file``: the limit's file.
    """

    limit: Amount | float | Ranges
    source: str
    file: str


class Room(msgspec.Struct, frozen=True):
    """The room before the VE meets the first limit on the way up: ``left``, and ``percent`` of that limit.

    If ``source`` is not the VE itself, others may use it up, too.
    """

    left: int
    percent: float
    source: str


def effective(levels: Sequence[Level], names: Collection[str] | None = None) -> dict[str, Bound]:
    """The bounds, by limit. ``levels``: the VE first, the host last. Of equal limits, the one nearest to the VE counts.

    A limit whose file no level has (an older kernel) is left out. ``names``: which limits of memory, swap, processes
    and huge pages; unset: all.
    """
    cpus = _cpu_list(levels)
    found = {"cpu.max": _cpu_time(levels, cpus)}
    if cpus:
        found["cpuset.cpus"] = cpus
    for name in (*BINDING, *_huge(levels)) if names is None else names:
        stated = [(_amount(level.texts[name]), level.path) for level in levels if name in level.texts]
        if stated:
            limit, source = min(stated, key=lambda pair: as_number(pair[0]))
            found[name] = Bound(limit, "" if limit is MAX else source, name)
    return found


def headroom(levels: Sequence[Level]) -> dict[str, Room]:
    """The room, by limit; a limit without a level that both limits and counts is left out."""
    rooms = {}
    for name in (*BINDING, *_huge(levels)):
        found = [room for level in levels if (room := _room(level, name))]
        if found:
            rooms[name] = min(found, key=lambda room: room.left)
    return rooms


def _room(level: Level, name: str) -> Room | None:
    limit = amount(level.texts.get(name, "max"))
    use = level.texts.get(use_of(name))
    if limit is MAX or use is None:
        return None
    left = max(0, limit - int(use))
    return Room(left, 100 * left / limit if limit else 0.0, level.path)


def _huge(levels: Sequence[Level]) -> list[str]:
    """The VE's own limits of huge pages."""
    return [name for name in levels[0].texts if name.startswith("hugetlb.") and name.endswith(".max")]


def _cpu_list(levels: Sequence[Level]) -> Bound | None:
    """The CPUs in effect, which the kernel computes. The source is the highest level below which nothing changes."""
    lists = [(_ranges(level.texts[_CPUSET]), level.path) for level in levels if _CPUSET in level.texts]
    if not lists:
        return None
    source = ""
    for numbers, path in lists:
        if numbers != lists[0][0]:
            break
        source = path
    return Bound(lists[0][0], source, "cpuset.cpus")


def _cpu_time(levels: Sequence[Level], cpus: Bound | None) -> Bound:
    """CPU time in CPUs; a VE cannot use more than the CPUs on its list."""
    caps = [
        Bound(cap, level.path, "cpu.max")
        for level in levels
        if (cap := cpus_of(level.texts.get("cpu.max", "max").strip())) is not None
    ]
    if cpus and isinstance(cpus.limit, Ranges):
        caps.append(Bound(float(len(cpus.limit.numbers)), cpus.source, "cpuset.cpus"))
    return min(caps, key=lambda bound: float(bound.limit), default=Bound(MAX, "", "cpu.max"))  # type: ignore[arg-type]
