"""The plan: an ordered list of steps that can describe itself. Pure. What ``--dry-run`` prints is what runs.

Order: first all that takes away, children before parents; then all that gives, parents before children. So no moment
allows more than both the old and the new limits do, memory and swap together included. Within one VE ``File.rank``
lowers burst before quota and cpuset before its partition, and raises the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec

from ..controllers import memory
from ..controllers.core import enable_text
from ..formats import File, Write
from ..limits import file_named
from ..units import MAX, amount, human_size


class Set(msgspec.Struct, frozen=True, gc=False, tag="set"):
    """Write one entry of one file, ``old`` to ``new`` in normal form. ``disturbed``: entries it changes besides.

    ``gentle``: should more memory be in use than the new limit allows, free it first, as ``Reclaim`` does.
    """

    path: str
    file: str
    old: str
    new: str
    key: str = ""
    exact: bool = True
    disturbed: tuple[tuple[str, str], ...] = ()
    why: str = ""
    gentle: bool = False

    def describe(self) -> str:
        """One line for people."""
        entry = f"{self.file} {self.key}".strip()
        old, new = (shown(text, file_named(self.file).unit) for text in _parts_that_differ(self.old, self.new))
        return f"{self.path}: {entry}: {old} -> {new}" + (f"  ({self.why})" if self.why else "")


class Enable(msgspec.Struct, frozen=True, tag="enable"):
    """Enable controllers for the children of a cgroup."""

    path: str
    controllers: tuple[str, ...]

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.subtree_control: {enable_text(self.controllers)}"


class Disable(msgspec.Struct, frozen=True, tag="disable"):
    """Take controllers back from the children of a cgroup. None of them has a limit set by then."""

    path: str
    controllers: tuple[str, ...]

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.subtree_control: {enable_text(self.controllers, '-')}"


class Reclaim(msgspec.Struct, frozen=True, tag="reclaim"):
    """Bring memory in use down to ``goal`` bytes, without killing, before the limit goes there."""

    path: str
    goal: int
    usage: int

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: memory.reclaim: {human_size(self.usage)} in use -> at most {human_size(self.goal)}"


class Make(msgspec.Struct, frozen=True, tag="make"):
    """Make a cgroup. ``instead``: the path of the cgroup that a rename removes; empty when nothing is renamed."""

    path: str
    instead: str = ""

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: mkdir"


class Move(msgspec.Struct, frozen=True, tag="move"):
    """Move a process into the cgroup ``path`` from ``home``. ``started``: clock ticks since boot, which know it."""

    path: str
    pid: int
    started: int
    home: str

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.procs: process {self.pid} from {self.home}"


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Start a command in a cgroup. Who becomes the command closes the journal, so an open one means: not started."""

    path: str

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.procs: the command"


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Remove a cgroup and those below it. ``kill``: end the processes first, of which there were ``inside``."""

    path: str
    kill: bool = False
    inside: int = 0

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: " + (f"cgroup.kill: {self.inside} process(es), then rmdir" if self.kill else "rmdir")


class Label(msgspec.Struct, frozen=True, tag="label"):
    """Put a label on a cgroup, change it, or take it away. ``None``: there is no such label."""

    path: str
    key: str
    old: str | None
    new: str | None

    def describe(self) -> str:
        """One line for people."""
        old, new = map(shown_label, (self.old, self.new))
        return f"{self.path}: label {self.key}: {old} -> {new}"


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """Have the kernel look again at a partition, of this ``kind``, when CPUs of it become free.

    ``valid``: it was valid before, and may be invalid with the new lists. Then it is looked at when they are put back.
    ``asked``: it must be valid in the end.
    """

    path: str
    kind: str
    valid: bool = False
    asked: bool = False

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cpuset.cpus.partition: {self.kind}" + ("" if self.valid else ", once more")


Step = Set | Enable | Disable | Reclaim | Make | Label | Move | Start | Remove | Renew
"""In this order: made first, then limits and labels, then processes move in or start; removed last, when all is so.

Controllers are taken back after the limits, or after the removals where there are some; partitions are looked at again
right before that.
"""


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is wished for one cgroup. ``texts`` gives the text of its files by name; ``None``: not there yet."""

    path: str
    writes: tuple[Write, ...]
    texts: Mapping[str, str | None]


def _parts_that_differ(old: str, new: str) -> tuple[str, str]:
    """Of two entries with ``name=value`` pairs, the pairs that are not the same in both; else the whole entries."""
    if "=" not in old or "=" not in new:
        return old, new
    a, b = old.split(), new.split()
    return " ".join(x for x in a if x not in b), " ".join(x for x in b if x not in a)


def shown(entry: str, unit: str) -> str:
    """An entry for people: sizes with units, an empty one as such."""
    if unit == "bytes" and entry.isdecimal():
        return human_size(int(entry))
    return entry or '""'


def shown_label(value: str | None) -> str:
    """A label's value for people."""
    return "(none)" if value is None else value or '""'


def steps(
    changes: Sequence[Change], switches: Sequence[Enable | Disable] = (), force: bool = False
) -> tuple[Step, ...]:
    """Everything that differs, in a safe order: controllers are enabled first and taken back last. Empty: all is so.

    ``force``: lower ``memory.max`` at once, even below what is in use (the kernel may then kill).
    Raises ValueError when a wish cannot be merged with what is there.
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


def ended(limits: Sequence[Step], last: Sequence[Step], renewed: Sequence[Renew] = ()) -> tuple[Step, ...]:
    """Limits, then the partitions to be ``renewed``, then what comes ``last``.

    Where VEs are removed, partitions are looked at again after that, but for those that must be valid: till then all
    can be put back. Controllers are taken back in the end. Until then such a VE needs them: should somebody fill it
    meanwhile, it stays, with its limits.
    """
    if not any(isinstance(step, Remove) for step in last):
        return (*limits, *renewed, *last)
    off = [step for step in limits if isinstance(step, Disable)]
    first = [step for step in renewed if step.asked]
    then = [step for step in renewed if not step.asked]
    return (*(step for step in limits if not isinstance(step, Disable)), *first, *last, *then, *off)


def lasts(steps: Sequence[Step]) -> bool:
    """Whether the history is to know: a command that was started, and partitions that are valid again, stay so."""
    return not set(map(type, steps)) <= {Start, Renew}


_Order = tuple[int, int, int]
"""What comes first: 0 for lowering and 1 for raising, then the depth (deepest first when lowering), then the rank."""
_Placed = tuple[_Order, Step]
_ORDER = itemgetter(0)
_MAX = memory.MAX.name
_Facts = tuple[str, str, str, str, bool, tuple[tuple[str, str], ...], str]
"""All of a ``Set`` that comes after its path and that a plan knows at first, in order."""
_Difference = tuple[_Order, _Facts, tuple[File, ...]]
"""Where and what to set, and the files that this disturbs."""
_Compare = Callable[[Write, str | None, int], _Difference | None]


def _compare_all(change: Change, compare: _Compare, found: list[tuple[_Order, Set]]) -> None:
    """Add what is to be set to ``found``."""
    path, texts = change.path, change.texts
    depth = path.count("/")
    for write in change.writes:
        if differs := compare(write, texts.get(write.file.name), depth):
            order, facts, others = differs
            step = Set(path, *facts)
            if others:
                disturbed = tuple((file.name, file.entry(texts[file.name])) for file in others)
                step = msgspec.structs.replace(step, disturbed=disturbed)
            found.append((order, step))


def _compare(write: Write, text: str | None, depth: int) -> _Difference | None:
    file = write.file
    if text is None and write.if_there:
        return None
    old = file.entry(text, write.key)
    new = file.merge(old, write.wanted)
    if old == new:
        return None
    order = (0, -depth, file.rank) if file.lowers(old, new) else (1, depth, -file.rank)
    facts = (file.name, old, new, write.key, write.exact, (), file.remark(old, write.wanted, new))
    return order, facts, file.disturbs


def _gently(change: Change, found: list[tuple[_Order, Set]]) -> Sequence[_Placed]:
    """Where ``memory.max`` goes below what is in use: ``memory.high`` holds the VE there, then reclaim, then set.

    Swap that the same plan gives comes before the reclaim, which may need it; ``memory.high`` then already keeps the VE
    to its new size.
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
        Set(change.path, memory.HIGH.name, held, final) if final != held else None,
    )
    taken = (step, wished, gives)
    rest = [(order, placed) for order, placed in found if not any(placed is one for one in taken)]
    return [*[(order, placed) for placed in group if placed is not None], *rest]
