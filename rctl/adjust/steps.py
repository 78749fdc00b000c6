"""The steps of a plan. Each can describe itself: ``--dry-run`` prints the steps of a run."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from ..controllers import cpuset
from ..controllers.core import enable_text
from ..limits import file_named
from ..units import human_size


class Set(msgspec.Struct, frozen=True, gc=False, tag="set"):
    """Write one entry of one file, ``old`` to ``new`` in normal form. ``disturbed``: other entries that it changes.

    ``gentle``: if more memory is in use than the new limit allows, free it first, as ``Reclaim`` does.
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


class SetThrough(Set, frozen=True, gc=False, tag="set_through"):
    """``Set`` by another writer than ``files``; ``writer`` is its name.

    ``kept``: what the owner knew of the old value; ``own``: of the new one (forms, see ``writers.base``).
    """

    writer: str = ""
    kept: str = ""
    own: str = ""

    def describe(self) -> str:
        """One line for people."""
        return f"{super().describe()}, through {self.writer}"


class Enable(msgspec.Struct, frozen=True, tag="enable"):
    """Enable controllers for the children of a cgroup."""

    path: str
    controllers: tuple[str, ...]

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.subtree_control: {enable_text(self.controllers)}"


class Disable(msgspec.Struct, frozen=True, tag="disable"):
    """Disable controllers for the children of a cgroup. None of these has a limit of theirs by then."""

    path: str
    controllers: tuple[str, ...]

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.subtree_control: {enable_text(self.controllers, '-')}"


class Reclaim(msgspec.Struct, frozen=True, tag="reclaim"):
    """Bring the memory in use down to ``goal`` bytes, without killing, before the limit is set."""

    path: str
    goal: int
    usage: int

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: memory.reclaim: {human_size(self.usage)} in use -> at most {human_size(self.goal)}"


class Make(msgspec.Struct, frozen=True, tag="make"):
    """Make a cgroup. ``instead``: the path of the cgroup that a rename removes; empty without a rename."""

    path: str
    instead: str = ""

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: mkdir"


class Move(msgspec.Struct, frozen=True, tag="move"):
    """Move a process from ``home`` into the cgroup ``path``. ``started``: clock ticks since boot, to identify it."""

    path: str
    pid: int
    started: int
    home: str

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.procs: process {self.pid} from {self.home}"


class Start(msgspec.Struct, frozen=True, tag="start", omit_defaults=True):
    """Start a command in a cgroup. Its process closes the journal, so an open journal means: not started.

    ``passing``: the cgroup is removed when the command has ended.
    """

    path: str
    passing: bool = False

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cgroup.procs: the command"


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Remove a cgroup and those below it. ``kill``: end its processes first; ``inside``: their number."""

    path: str
    kill: bool = False
    inside: int = 0

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: " + (f"cgroup.kill: {self.inside} process(es), then rmdir" if self.kill else "rmdir")


class Label(msgspec.Struct, frozen=True, tag="label", omit_defaults=True):
    """Set, change or remove a label of a cgroup. ``None``: the label is unset.

    ``noted``: it was written before the record, which only keeps it for the next life of the cgroup.
    """

    path: str
    key: str
    old: str | None
    new: str | None
    noted: bool = False

    def describe(self) -> str:
        """One line for people."""
        old, new = map(shown_label, (self.old, self.new))
        return f"{self.path}: label {self.key}: {old} -> {new}"


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """Make the kernel check a partition of this ``kind`` again when CPUs of it become free.

    ``valid``: it was valid before, and may be invalid with the new lists. Then it is checked when they are put back.
    ``asked``: it must be valid in the end.
    """

    path: str
    kind: str
    valid: bool = False
    asked: bool = False

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: cpuset.cpus.partition: {self.kind}" + ("" if self.valid else ", once more")


class Want(msgspec.Struct, frozen=True, tag="want"):
    """Ask for the ``value`` that an entry has already. Nothing is written; it is the desired value from now on."""

    path: str
    file: str
    value: str
    key: str = ""

    def describe(self) -> str:
        """One line for people."""
        entry = f"{self.file} {self.key}".strip()
        return f"{self.path}: {entry}: {shown(self.value, file_named(self.file).unit)}, as it is"


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Ask for nothing any more: no limit of the cgroup is desired."""

    path: str

    def describe(self) -> str:
        """One line for people."""
        return f"{self.path}: no limit is desired"


Step = Set | SetThrough | Enable | Disable | Reclaim | Make | Label | Move | Start | Remove | Renew | Want | Forget
"""The order: first make, then limits and labels, then move processes or start; remove last, when all else is done.

Controllers are disabled after the limits, or after the removals if there are any; partitions are checked again right
before that.
"""


class ChangePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The change of several adjustments to which one belongs, by its id, and its number in it, from 1."""

    change: str
    number: int


def _parts_that_differ(old: str, new: str) -> tuple[str, str]:
    """The ``name=value`` pairs that differ between two entries; otherwise the whole entries."""
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


def lasts(steps: Sequence[Step]) -> bool:
    """True if the history must have it, because its effect stays: a started command, or renewed partitions."""
    return not set(map(type, steps)) <= {Start, Renew}


Key = tuple[str, str, str]
"""Path, file, and key in the file."""


def by_entry(steps: Iterable[Step]) -> dict[Key, list[Set]]:
    """The steps that set each entry, in their order.

    The first has the value from before, and the last the final value.
    """
    found: dict[Key, list[Set]] = defaultdict(list)
    for step in steps:
        if isinstance(step, Set):
            found[step.path, step.file, step.key].append(step)
    return found


_OF_CPUS = frozenset(file.name for file in cpuset.FILES)


def sets_cpus(steps: Iterable[Step]) -> bool:
    """True if one of the steps sets CPUs, memory nodes or a partition."""
    return not _OF_CPUS.isdisjoint([getattr(step, "file", "") for step in steps])


def touched(step: Step) -> tuple[str, ...]:
    """The cgroups that a step touches."""
    return (step.path, step.home) if isinstance(step, Move) else (step.path,)
