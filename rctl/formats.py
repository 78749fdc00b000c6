"""The kernel's interface files as data, and their text formats as pure functions.

Formats are named as in the "Format" section of https://docs.kernel.org/admin-guide/cgroup-v2.html.

A *file* holds one or more *entries*: most hold one (key ``""``), ``io.max`` one a device, ``io.weight`` a default and
one a device. All that rctl plans, writes, verifies and undoes is an entry in its normal form: the text that the
kernel itself prints for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from operator import lt
from typing import ClassVar, get_args

import msgspec

from .units import MAX, Amount, Duration, Flag, PidCount, Protected, Quantity, Size, Weight, amount, human_size, level

_KINDS: dict[str, type[Quantity]] = {"bytes": Size, "count": PidCount, "flag": Flag, "us": Duration, "weight": Weight}
DEVICE = re.compile(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,8})", re.ASCII)
"""A disk as the kernel shows it. It also takes leading zeros, and then shows another text than was written."""
VE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}", re.ASCII)
"""What a VE of rctl's own may be called."""
NAMING = "Use letters, digits and _.@+-, at most 64, the first one a letter or a digit"
"""The same for people."""


def as_typed(name: str) -> str:
    """What is no name, as far as it needs to be shown."""
    return f"{name[:64]!r}{'...' * (len(name) > 64)}"


LimitFigure = tuple[str, str, Amount | float]
"""One number of a limit: of which device or page size (mostly empty), which value of several, and the number."""


class LimitMetric(msgspec.Struct, frozen=True):
    """How the exporter shows a limit: ``rctl_ve_NAME``. ``core``: also in the profile ``core``.

    ``value``: which of the limit's figures, where it has several. What is named ``_seconds`` is microseconds in the
    file.
    """

    name: str
    help: str
    core: bool = False
    value: str = ""


class File(msgspec.Struct, frozen=True, eq=False):
    """An interface file that holds one value: all that rctl knows of a limit. They compare by identity.

    - ``controller`` must be enabled in the parent's ``cgroup.subtree_control`` for the file to exist; ``""``: core,
      always there.
    - ``default``: the entry of a new cgroup, in normal form.
    - ``since``: the mainline kernel that brought it. ``config``: the option that it needs, where distributions leave
      that out. Both are told only; files are probed for.
    - ``rank`` orders files of one VE that are lowered together.
    - ``unit``: what the number is. ``about``: what the limit does, in a sentence.
    - ``disturbs``: files that the kernel changes when this one is written, so that undoing puts them back, too.
    - ``protects``: the more of it, the less others get. ``max`` is then everything claimed, and no limit taken away.
    - ``metrics`` show what it holds. ``label``: what tells several figures of one file apart (a device, a page size).
    - ``without``: what is lost on a kernel that lacks it, where ``doctor`` is to tell.
    - ``key``: the limit's key, where that is not the file's name.
    - ``systemd``: the properties that set it, as in systemd.resource-control(5).
    """

    label: ClassVar[str] = ""

    name: str
    controller: str
    default: str = "max"
    since: str = "4.5"
    rank: int = 0
    unit: str = ""
    disturbs: tuple[File, ...] = ()
    protects: bool = False
    metrics: tuple[LimitMetric, ...] = ()
    without: str = ""
    config: str = ""
    about: str = ""
    key: str = ""
    systemd: tuple[str, ...] = ()

    def entry(self, text: str | None, key: str = "") -> str:
        """The entry under ``key`` in what the kernel printed; ``None``, a file that is not there yet: the default."""
        return self.default if text is None else text.strip()

    def line(self, entry: str, key: str = "") -> str:
        """The text to write so that the file then holds ``entry``. A lone newline clears: 0 bytes do nothing."""
        return (entry or "\n") if not key else f"{key} {entry}"

    @property
    def binds(self) -> bool:
        """Whether it limits the VE and all below it together, so that the tightest one on the way up counts."""
        return self.unit in ("bytes", "count") and self.default == "max"

    def wish(self, text: str, page: int) -> tuple[str, str]:
        """Key and wanted entry for text that a person wrote for the file, rounded as the kernel does.

        Raises ValueError for what the kernel would not take.
        """
        kind = Protected if self.protects else _KINDS.get(self.unit)
        value = kind.parse(text) if kind else text
        return "", floor_page(value.amount, page, value.bare) if isinstance(value, Size) else str(value)

    def merge(self, old: str, wanted: str) -> str:
        """The new entry when ``wanted``, which may be a part of an entry, is set where ``old`` was."""
        return wanted

    def remark(self, old: str, wanted: str, new: str) -> str:
        """What people should know about the ``new`` entry that came of the two others; mostly nothing."""
        return ""

    def holds(self, entry: str, wanted: str) -> bool:
        """Whether ``entry``, which the kernel shows after ``wanted`` was written, is what was asked for."""
        return entry == wanted

    def unchanged(self, entry: str, wanted: str) -> bool:
        """Whether nobody has set another value since ``wanted`` was written, though the kernel may show it as it is."""
        return self.holds(entry, wanted)

    def refused(self, entry: str) -> str:
        """Why the kernel shows this ``entry``, which is not what was written, and the cure; for people."""
        return "Another manager may hold this cgroup, or the kernel does not take the value"

    def settable(self, entry: str) -> bool:
        """False for what is not put back by writing it: the weight 0 of an idle cgroup, which the kernel refuses."""
        return True

    def figures(self, text: str) -> Iterator[LimitFigure]:
        """The numbers in what the kernel printed, for metrics. Raises ValueError for what is none."""
        yield "", "", amount(text)

    def lowers(self, old: str, new: str) -> bool:
        """Whether going from ``old`` to ``new`` takes away anything; never where more and less mean nothing."""
        try:
            return level(new) < level(old)
        except ValueError:
            return False


class Nested(File, frozen=True):
    """Nested keyed: a line of ``KEY SUB=VALUE SUB=VALUE`` per device; no line is the same as the default."""

    def entry(self, text: str | None, key: str = "") -> str:
        return next((rest for head, _, rest in _lines(text or "") if head == key), self.default)

    def wish(self, text: str, page: int) -> tuple[str, str]:
        key, _, rest = text.partition(" ")
        if not DEVICE.fullmatch(key):
            raise ValueError(f"{key[:64]!r} is not MAJOR:MINOR")
        return key, rest.strip()

    def merge(self, old: str, wanted: str) -> str:
        pairs = {name: value for pair in (old + " " + wanted).split() for name, _, value in [pair.partition("=")]}
        return " ".join(f"{name}={value}" for name, value in pairs.items())

    def lowers(self, old: str, new: str) -> bool:
        return any(map(lt, _levels(new), _levels(old)))


class PerDevice(Nested, frozen=True, kw_only=True):
    """A limit by device, all of whose values may be ``max``: ``io.max``. People name the disk, the kernel its number.

    ``values``: the struct of one device's values, in the kernel's order. ``example``: some of them, as people write
    them. ``what``: what one of them is called.
    """

    label: ClassVar[str] = "device"
    values: type[msgspec.Struct]
    example: str
    what: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "default", " ".join(f"{name}=max" for name in self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the values."""
        return self.values.__struct_fields__

    @property
    def kinds(self) -> dict[str, type[Quantity]]:
        """The type of each value."""
        return _quantities(self.values)

    @property
    def field(self) -> str:
        """The field of its controller's limits that holds it."""
        return self.name.partition(".")[2]

    def wish(self, text: str, page: int) -> tuple[str, str]:
        device, rest = super().wish(text, page)
        pairs = [pair.partition("=") for pair in rest.split()]
        if not pairs or any(name not in self.names for name, _, _ in pairs):
            raise ValueError(f"{text[:64]!r} is not understood. Write it like '8:0 {self.example}'")
        return device, " ".join(f"{name}={self.kinds[name].parse(value)}" for name, _, value in pairs)

    def figures(self, text: str) -> Iterator[LimitFigure]:
        for device, values in nested_keyed(text).items():
            yield from ((device, name, amount(values[name])) for name in self.names if name in values)


@cache
def _quantities(struct: type[msgspec.Struct]) -> dict[str, type[Quantity]]:
    """The quantity that each field of a struct takes, when it is set."""
    found = ((field.name, get_args(field.type)) for field in msgspec.structs.fields(struct))
    return {name: next(kind for kind in kinds if issubclass(kind, Quantity)) for name, kinds in found}


class Keyed(File, frozen=True):
    """Flat keyed with a ``default`` line (``io.weight``). A device without a line of its own reads ``default``.

    ``most`` is the highest weight that the kernel takes.
    """

    most: int = Weight.high

    def entry(self, text: str | None, key: str = "default") -> str:
        for line in text.splitlines() if text else ():
            head, _, rest = line.strip().partition(" ")
            if head == key:
                return rest
        return self.default if key == "default" else "default"

    def wish(self, text: str, page: int) -> tuple[str, str]:
        key, _, value = text.rpartition(" ")
        key = key.strip() or "default"
        if key != "default" and not DEVICE.fullmatch(key):
            raise ValueError(f"{key[:64]!r} is neither MAJOR:MINOR nor 'default'")
        if key != "default" and value == "default":
            return key, value
        weight = Weight.parse(value)
        if level(str(weight)) > self.most:
            raise ValueError(f"{weight} is out of range: at most {self.most}")
        return key, str(weight)

    def figures(self, text: str) -> Iterator[LimitFigure]:
        yield from (("", "", weight) for key, weight in flat_keyed(text).items() if key == "default")

    def lowers(self, old: str, new: str) -> bool:
        return False


class Whole(File, frozen=True):
    """A file that rctl has no name for: verbatim text. ``20%`` and ``20.00`` are the same to it."""

    def holds(self, entry: str, wanted: str) -> bool:
        return [*map(_as_number, entry.split())] == [*map(_as_number, wanted.split())]

    def refused(self, entry: str) -> str:
        return "It shows what it showed before: the value means the same, or the kernel does not take it"

    def lowers(self, old: str, new: str) -> bool:
        return False


def _as_number(word: str) -> str | float:
    try:
        return float(word.removesuffix("%"))
    except ValueError:
        return word


class Write(msgspec.Struct, frozen=True):
    """One wish for one entry of one file: what a controller asks for.

    ``wanted`` may be a part of the entry (see ``File.merge``). ``exact`` is false where the kernel may print the value
    in another form than it was written (verbatim files). ``if_there``: nothing to do on a kernel without the file.
    """

    file: File
    wanted: str
    key: str = ""
    exact: bool = True
    if_there: bool = False


def _lines(text: str) -> list[tuple[str, str, str]]:
    return [line.strip().partition(" ") for line in text.splitlines()]


def _levels(entry: str) -> list[float]:
    """The values of ``SUB=VALUE SUB=VALUE`` as numbers that compare."""
    return [level(pair.partition("=")[2]) for pair in entry.split()]


def flat_keyed(text: str) -> dict[str, int]:
    """``memory.stat``, ``cpu.stat``, ``*.events``: a name and an integer a line. Other lines are left out."""
    return {name: int(value) for name, _, value in _lines(text) if value.isdecimal()}


def nested_keyed(text: str) -> dict[str, dict[str, str]]:
    """``io.stat``, ``io.max``: ``KEY SUB=VALUE ...`` a line."""
    return {
        head: dict(pair.split("=", 1) for pair in rest.split() if "=" in pair) for head, _, rest in _lines(text) if head
    }


class Pressure(msgspec.Struct, frozen=True):
    """One line of a pressure file. Averages in per cent over 10, 60 and 300 s; ``total`` in microseconds."""

    avg10: float
    avg60: float
    avg300: float
    total: int

    types: ClassVar[tuple[str, ...]] = ("some", "full")


def pressure(text: str) -> dict[str, Pressure]:
    """``*.pressure``: the lines ``some`` and ``full`` that are there (https://docs.kernel.org/accounting/psi.html)."""
    found = {kind: pairs for kind, pairs in nested_keyed(text).items() if kind in Pressure.types}
    try:
        return {
            kind: Pressure(float(p["avg10"]), float(p["avg60"]), float(p["avg300"]), int(p["total"]))
            for kind, p in found.items()
        }
    except KeyError as missing:
        raise ValueError(f"a pressure line lacks {missing}") from None


def unescaped(text: str) -> str:
    """A field of proc(5) mountinfo, in which the kernel writes blanks and backslashes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def size_write(file: File, size: Size, page: int) -> Write:
    """The wish for a size, rounded down to pages as the kernel does. Raises ValueError that names the file."""
    try:
        return Write(file, floor_page(size.amount, page, size.bare))
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None


def floor_page(size: Amount, page: int, bare: str = "") -> str:
    """A size as the kernel will print it: rounded down to pages; at and above LONG_MAX rounded down, ``max``.

    ``bare``: see Size.

    Raises ValueError for less than one page, which would become 0: most likely its unit was forgotten.
    """
    if size is not MAX and 0 < size < page:
        least = human_size(page)
        better = f"{bare}M, or {least} at least?" if bare and size << 20 >= page else f"{least} at least"
        raise ValueError(f"{size} bytes is less than one page ({page}). Write {better}")
    if size is MAX or size >= (1 << 63) // page * page - page:
        return "max"
    return str(size // page * page)
