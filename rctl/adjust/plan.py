"""The plan: an ordered list of steps that can describe itself. Pure. What ``--dry-run`` prints is what runs.

Order: first all that takes away, children before parents; then all that gives, parents before children. So no moment
allows more than both the old and the new limits do, memory and swap together included. Within one VE ``File.rank``
lowers burst before quota and cpuset before its partition, and raises the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import itemgetter

import msgspec

from ..controllers import memory
from ..controllers.core import enable_text
from ..formats import Write
from ..limits import file_named
from ..units import MAX, amount, human_size


class Set(msgspec.Struct, frozen=True, gc=False, tag="set"):
    """Write one entry of one file, ``old`` to ``new`` in normal form. ``disturbed``: entries it changes besides."""

    path: str
    file: str
    old: str
    new: str
    key: str = ""
    exact: bool = True
    disturbed: tuple[tuple[str, str], ...] = ()
    why: str = ""

    def describe(self) -> str:
        """One line for people."""
        entry = f"{self.file} {self.key}".strip()
        unit = file_named(self.file).unit
        old, new = shown(self.old, unit), shown(self.new, unit)
        return f"{self.path}: {entry}: {old} -> {new}" + (f"  ({self.why})" if self.why else "")


class Enable(msgspec.Struct, frozen=True, tag="enable"):
    """Enable controllers for the children of a cgroup."""

    path: str
    controllers: tuple[str, ...]

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.subtree_control: {enable_text(self.controllers)}"


class Reclaim(msgspec.Struct, frozen=True, tag="reclaim"):
    """Bring memory in use down to ``goal`` bytes, without killing, before the limit goes there."""

    path: str
    goal: int
    usage: int

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: memory.reclaim: {human_size(self.usage)} in use -> at most {human_size(self.goal)}"


Step = Set | Enable | Reclaim


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is wished for one cgroup. ``texts`` gives the text of its files by name; ``None``: not there yet."""

    path: str
    writes: tuple[Write, ...]
    texts: Mapping[str, str | None]


def shown(entry: str, unit: str) -> str:
    """An entry for people: sizes with units, an empty one as such."""
    if unit == "bytes" and entry.isdecimal():
        return human_size(int(entry))
    return entry or '""'


def steps(changes: Iterable[Change], enables: Iterable[Enable] = (), force: bool = False) -> tuple[Step, ...]:
    """Everything that differs, in a safe order. Empty when all is as wished.

    ``force``: lower ``memory.max`` at once, even below what is in use (the kernel may then kill).
    Raises ValueError when a wish cannot be merged with what is there.
    """
    lowering: list[tuple[int, int, tuple[Step, ...]]] = []
    raising: list[tuple[int, int, tuple[Step, ...]]] = []
    for change in changes:
        depth = change.path.count("/")
        found = _differences(change)
        if not force and (memory.MAX.name, "") in found and (shrink := _shrink(change, found)):
            lowering.append((-depth, memory.MAX.rank, shrink))
        for step, rank, lowers in found.values():
            if lowers:
                lowering.append((-depth, rank, (step,)))
            else:
                raising.append((depth, -rank, (step,)))
    groups = (*sorted(lowering, key=_ORDER), *sorted(raising, key=_ORDER))
    return (*enables, *(step for group in groups for step in group[2]))


_ORDER = itemgetter(0, 1)
_Found = dict[tuple[str, str], tuple[Set, int, bool]]
"""Steps by (file, key), each with its file's rank and whether it takes something away."""


def _differences(change: Change) -> _Found:
    found: _Found = {}
    for write in change.writes:
        file, key = write.file, write.key
        text = change.texts[file.name]
        if text is None and write.if_there:
            continue
        old, new, lowers = _compare(write, text)
        if old != new:
            disturbed = tuple((f.name, f.entry(change.texts[f.name])) for f in file.disturbs)
            found[file.name, key] = (
                Set(change.path, file.name, old, new, key, write.exact, disturbed),
                file.rank,
                lowers,
            )
    return found


@lru_cache(maxsize=1024)
def _compare(write: Write, text: str | None) -> tuple[str, str, bool]:
    """Old entry, new entry, and whether that lowers it. Many VEs hold the same text, so this is worth remembering."""
    old = write.file.entry(text, write.key)
    new = write.file.merge(old, write.wanted)
    return old, new, write.file.lowers(old, new)


def _shrink(change: Change, found: _Found) -> tuple[Step, ...]:
    """Take a ``memory.max`` below what is in use out of ``found``: ``memory.high`` holds it there, reclaim, set.

    Swap that the same plan gives comes before the reclaim, which may need it; ``memory.high`` then already keeps the VE
    to its new size. Empty when there is nothing to shrink.
    """
    step, _, lowers = found[memory.MAX.name, ""]
    if not lowers:
        return ()
    usage, goal = int(change.texts["memory.current"] or 0), int(step.new)
    if usage <= goal:
        return ()
    del found[step.file, step.key]
    wished, *_ = found.pop((memory.HIGH.name, ""), (None,))
    swap, _, less_swap = found.get((memory.SWAP_MAX.name, ""), (None, 0, True))
    if swap is not None and not less_swap:
        del found[swap.file, swap.key]
    high = memory.HIGH.entry(change.texts[memory.HIGH.name])
    final = wished.new if wished else high
    held = str(goal) if amount(high) is MAX or int(high) > goal else high
    why = "holds the VE back while memory is reclaimed"
    return (
        *((Set(change.path, memory.HIGH.name, high, held, why=why),) if held != high else ()),
        *((swap,) if swap is not None and not less_swap else ()),
        Reclaim(change.path, goal, usage),
        step,
        *((Set(change.path, memory.HIGH.name, held, final),) if final != held else ()),
    )
