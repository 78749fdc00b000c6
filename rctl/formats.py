"""The kernel's interface files as data, and their text formats as pure functions.

Formats are named as in the "Format" section of https://docs.kernel.org/admin-guide/cgroup-v2.html.

A *file* holds one or more *entries*: most hold one (key ``""``), ``io.max`` holds one for each device, ``io.weight`` a
default and one for each device. rctl plans, writes, verifies and undoes entries in their normal form, which is the text
that the kernel prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from operator import lt
from typing import ClassVar, get_args

import msgspec

from .late_regex import regex
from .units import MAX, Amount, Duration, Flag, PidCount, Protected, Quantity, Size, Weight, amount, human_size, level

_KINDS: dict[str, type[Quantity]] = {"bytes": Size, "count": PidCount, "flag": Flag, "us": Duration, "weight": Weight}
DEVICE = regex(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,8})", re.ASCII)
"""A disk as the kernel prints it. The kernel also takes leading zeros, but prints another text then."""
VE_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}", re.ASCII)
"""The allowed names of rctl's own VEs."""
NAMING = "Use letters, digits and _.@+-, at most 64, the first one a letter or a digit"
"""The same rule as a text for people."""
KINDS = ("unit", "user", "docker", "podman", "containerd", "crio", "pod")
"""What may stand before the colon of the name of something that rctl did not make."""
UNITS = (".service", ".scope", ".slice", ".socket", ".mount", ".swap")
"""Endings of the units that have a cgroup (systemd.unit(5))."""


def as_typed(name: str) -> str:
    """A wrong name for an error message, cut to a useful length."""
    return f"{name[:64]!r}{'...' * (len(name) > 64)}"


LimitFigure = tuple[str, str, Amount | float]
"""One number of a limit: its device or page size (mostly empty), which of several values it is, and the number."""


class LimitMetric(msgspec.Struct, frozen=True):
    """The metric of a limit: ``rctl_ve_NAME``. ``core``: also in the profile ``core``.

    ``value``: which of the limit's figures, if it has several. If the name ends in ``_seconds``, the file has
    microseconds.
    """

    name: str
    help: str
    core: bool = False
    value: str = ""


class File(msgspec.Struct, frozen=True, eq=False):
    """An interface file that holds one value: the declaration of a limit. Two are equal only if they are the same
    object.

    - ``controller`` must be enabled in the parent's ``cgroup.subtree_control`` for the file to exist; ``""``: core, it
      always exists.
    - ``default``: the entry of a new cgroup, in normal form.
    - ``since``: the first mainline kernel with it. ``config``: the kernel option that it needs, if distributions leave
      that out. Both are only for messages; rctl looks whether the file exists.
    - ``rank``: files of one VE that are lowered together begin with the lowest rank; files that are raised together end
      with it. A file that must be low before another one is has the lower rank: ``memory.high`` (1) throttles before
      ``memory.max`` (2) kills. 0 if the order does not matter.
    - ``unit``: of the number; empty for a limit by device, whose values have their own.
    - ``about``: the effect of the limit, in a sentence.
    - ``disturbs``: files that the kernel changes when this one is written; undo puts them back, too.
    - ``protects``: a higher value leaves less to others. ``max`` then claims everything, and removes no limit.
    - ``metrics``: show its figures. ``label``: distinguishes several figures of one file (a device, a page size).
    - ``without``: the effect of a missing file, if ``doctor`` is to report it.
    - ``key``: the limit's key, if it differs from the file's name.
    - ``systemd``: the properties that set it, as in systemd.resource-control(5).
    - ``docker``: the fields that set it, as in a container's ``HostConfig`` of the Docker Engine API.
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
    docker: tuple[str, ...] = ()

    def entry(self, text: str | None, key: str = "") -> str:
        """The entry under ``key`` in the kernel's text; ``None`` (the file does not exist yet) gives the default."""
        return self.default if text is None else text.strip()

    def line(self, entry: str, key: str = "") -> str:
        """The text to write so that the file holds ``entry``. A newline alone clears a file; 0 bytes do nothing."""
        return (entry or "\n") if not key else f"{key} {entry}"

    @property
    def binds(self) -> bool:
        """True if it limits the VE and all cgroups below it together, so that the lowest one on the way up counts.

        The kernel checks swap.high and zswap.max at each level, too: swap_find_max_overage and obj_cgroup_may_zswap in
        mm/memcontrol.c.
        """
        return self.unit in ("bytes", "count") and self.default == "max"

    def wish(self, text: str, page: int) -> tuple[str, str]:
        """Key and wanted entry of a text that a person wrote for the file, rounded as the kernel does.

        Raises ValueError for a text that the kernel would not take.
        """
        kind = Protected if self.protects else _KINDS.get(self.unit)
        value = kind.parse(text) if kind else text
        return "", floor_page(value.amount, page, value.bare) if isinstance(value, Size) else str(value)

    def merge(self, old: str, wanted: str) -> str:
        """The new entry after ``wanted`` is set over ``old``; ``wanted`` may be a part of an entry."""
        return wanted

    def remark(self, old: str, wanted: str, new: str) -> str:
        """A remark for people about the ``new`` entry made from the two others; mostly empty."""
        return ""

    def holds(self, entry: str, wanted: str) -> bool:
        """True if ``entry``, which the kernel shows after ``wanted`` was written, has the wanted effect."""
        return entry == wanted

    def unchanged(self, entry: str, wanted: str) -> bool:
        """True if no other value was set since ``wanted`` was written, also if the kernel shows it in another form."""
        return self.holds(entry, wanted)

    def refused(self, entry: str) -> str:
        """Why the kernel shows this ``entry`` instead of the written one, and the remedy; for people."""
        return "Another manager may hold this cgroup, or the kernel does not take the value"

    def settable(self, entry: str) -> bool:
        """False if an entry cannot be put back by writing it: the kernel refuses the weight 0 of an idle cgroup."""
        return True

    def figures(self, text: str) -> Iterator[LimitFigure]:
        """The numbers in the kernel's text, for metrics. Raises ValueError if there is none."""
        yield "", "", amount(text)

    def lowers(self, old: str, new: str) -> bool:
        """True if a change from ``old`` to ``new`` takes anything away; False if there is no more and less."""
        try:
            return level(new) < level(old)
        except ValueError:
            return False


class Nested(File, frozen=True):
    """Nested keyed: a line of ``KEY SUB=VALUE SUB=VALUE`` for each device; a missing line is the default."""

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
    """A limit by device; each of its values may be ``max``: ``io.max``. People name the disk, the kernel its number.

    ``values``: the struct of one device's values, in the kernel's order. ``example``: some of them, as people write
    them. ``what``: the word for one of them.
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
    """The type of quantity of each field of a struct."""
    found = ((field.name, get_args(field.type)) for field in msgspec.structs.fields(struct))
    return {name: next(kind for kind in kinds if issubclass(kind, Quantity)) for name, kinds in found}


class Keyed(File, frozen=True):
    """Flat keyed with a ``default`` line (``io.weight``). A device without its own line has the value of ``default``.

    ``most``: the highest weight that the kernel takes.
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
    """A file that rctl does not know: verbatim text. ``20%`` and ``20.00`` count as equal."""

    def holds(self, entry: str, wanted: str) -> bool:
        return [*map(_as_number, entry.split())] == [*map(_as_number, wanted.split())]

    def refused(self, entry: str) -> str:
        return "Its text did not change: the value means the same, or the kernel does not take it"

    def lowers(self, old: str, new: str) -> bool:
        return False


def _as_number(word: str) -> str | float:
    try:
        return float(word.removesuffix("%"))
    except ValueError:
        return word


class Write(msgspec.Struct, frozen=True):
    """The wish to set one entry of one file; a controller makes it.

    ``wanted`` may be a part of the entry (see ``File.merge``). ``exact``: False if the kernel may print the value in
    another form than it was written (verbatim files). ``if_there``: nothing to do on a kernel without the file.
    """

    file: File
    wanted: str
    key: str = ""
    exact: bool = True
    if_there: bool = False


def _lines(text: str) -> list[tuple[str, str, str]]:
    return [line.strip().partition(" ") for line in text.splitlines()]


def _levels(entry: str) -> list[float]:
    """The values of ``SUB=VALUE SUB=VALUE`` as numbers to compare."""
    return [level(pair.partition("=")[2]) for pair in entry.split()]


def flat_keyed(text: str) -> dict[str, int]:
    """``memory.stat``, ``cpu.stat``, ``*.events``: a name and an integer on each line. Other lines are left out."""
    return {name: int(value) for name, _, value in _lines(text) if value.isdecimal()}


def nested_keyed(text: str) -> dict[str, dict[str, str]]:
    """``io.stat``, ``io.max``: ``KEY SUB=VALUE ...`` on each line."""
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
    """``*.pressure``: the lines ``some`` and ``full``, if they exist (https://docs.kernel.org/accounting/psi.html)."""
    found = {kind: pairs for kind, pairs in nested_keyed(text).items() if kind in Pressure.types}
    try:
        return {
            kind: Pressure(float(p["avg10"]), float(p["avg60"]), float(p["avg300"]), int(p["total"]))
            for kind, p in found.items()
        }
    except KeyError as missing:
        raise ValueError(f"a pressure line lacks {missing}") from None


def unescaped(text: str) -> str:
    """A field of proc(5) mountinfo without escapes: the kernel writes blanks and backslashes as three octal digits."""
    if "\\" not in text:
        return text
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def size_write(file: File, size: Size, page: int) -> Write:
    """The wish for a size, rounded down to pages as the kernel does. Raises ValueError that names the file."""
    try:
        return Write(file, floor_page(size.amount, page, size.bare))
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None


def floor_page(size: Amount, page: int, bare: str = "") -> str:
    """A size as the kernel prints it: rounded down to pages; ``max`` from LONG_MAX, rounded down, on.

    ``bare``: see Size.

    Raises ValueError for less than one page, which would become 0: most likely the unit was forgotten.
    """
    if size is not MAX and 0 < size < page:
        least = human_size(page)
        better = f"{bare}M, or {least} at least?" if bare and size << 20 >= page else f"{least} at least"
        raise ValueError(f"{size} bytes is less than one page ({page}). Write {better}")
    if size is MAX or size >= (1 << 63) // page * page - page:
        return "max"
    return str(size // page * page)
