"""Quantities with units: texts of people, exact integers inside, texts of the kernel.

Only this module knows the word ``max``. Every quantity is immutable, compares with its own kind, and has ``amount`` (an
``int``, or ``MAX`` for no limit), ``str()`` (the kernel's text) and ``parse()``.

Suffixes: with an ``i`` (``KiB``, ``Ki``) 1024; with only a ``B`` (``KB``) 1000. A single letter is 1024 for sizes, as
for the kernel and systemd, and 1000 for rates, as in systemd.resource-control(5).
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal, Self

from .late_regex import regex


class Max(enum.Enum):
    """The type of ``MAX``: no limit. Greater than every number."""

    MAX = "max"

    def __str__(self) -> str:
        return "max"

    def __repr__(self) -> str:
        return "MAX"


MAX: Final = Max.MAX
_NO_LIMIT = float("inf")
Amount = int | Literal[Max.MAX]

_NUMBER = regex(r"([0-9]+)(?:\.([0-9]*))?\s*(.*)", re.ASCII | re.DOTALL)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
U64_MAX: Final = (1 << 64) - 1


def scaled(whole: str, fraction: str | None, factor: int) -> int:
    """``whole.fraction * factor``, exact, rounded down."""
    digits = fraction or ""
    return int(whole + digits) * factor // int(10 ** len(digits))


def _split(text: str) -> tuple[str, str | None, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or len(text) > 64 or not text.isascii():
        raise ValueError(f"{text[:64]!r} is not a number with a unit")
    return match[1], match[2], match[3].strip()


class Quantity:
    """Base of all quantities; see the module's docstring."""

    __slots__ = ("amount",)
    amount: Amount
    examples: ClassVar[str] = ""
    kind: ClassVar[str] = "count"
    low: ClassVar[int] = 0
    high: ClassVar[int] = U64_MAX
    takes_max: ClassVar[bool] = True
    protects: ClassVar[bool] = False
    percent: ClassVar[bool] = False
    """True if ``50%`` is of the host's memory."""

    def __init__(self, amount: Amount) -> None:
        if amount is MAX:
            if not self.takes_max:
                raise ValueError(f"'max' is not possible here. Write it like {self.examples}")
        elif not self.low <= amount <= self.high:
            raise ValueError(f"{self._told(amount)} is {self._bounds(amount)}. Write it like {self.examples}")
        self.amount = amount

    @classmethod
    def parse(cls, text: str | int | float, *, whole: int | None = None) -> Self:
        """Read a person's text. ``whole``: the value of ``100%``; ``None`` if per cent has no meaning here.

        Raises ValueError with the cause and an example.
        """
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            shown = str(text).lower() if isinstance(text, bool) else str(text)
            raise ValueError(f"{shown[:64]} is not a quantity. Write it like {cls.examples}")
        plain = str(text).strip()
        if plain == "max":
            return cls(MAX)
        try:
            amount = cls._read(plain, whole)
        except (KeyError, ValueError) as cause:
            detail = f": {cause}" if isinstance(cause, ValueError) and "is not a number" not in str(cause) else ""
            raise ValueError(f"{plain[:64]!r} is not understood{cls._instead(plain, whole, detail)}") from None
        return cls(amount)

    @classmethod
    def _read(cls, plain: str, whole: int | None) -> int:
        number, fraction, unit = _split(plain)
        amount = cls._amount(number, fraction, unit, whole)
        if amount == 0 and unit != "%" and (number + (fraction or "")).strip("0"):
            raise ValueError("it is less than 1")
        return amount

    @classmethod
    def _instead(cls, plain: str, whole: int | None, detail: str) -> str:
        """The cause why a text is wrong, and a spelling that works: the likely one, otherwise examples."""
        from .quantity_hints import NO_LIMIT, NOTHING, meant

        word = plain.lower()
        if cls.protects and word in NO_LIMIT | NOTHING:
            return ": it protects, and is no limit. Write 0 for no protection"
        if cls.takes_max and word in NOTHING:
            return ". Write " + "0 for nothing, " * (cls.low == 0) + "max for no limit"
        for cause, text in meant(plain, cls.kind) if len(plain) <= 64 else ():
            if cls._takes(text, whole):
                return f": {cause}. Write {text}"
        detail = (
            detail
            or ": it is empty" * (not plain)
            or ": it is less than 0" * bool(re.match(r"-\s*[0-9]", plain, re.ASCII))
        )
        return f"{detail}. Write it like {cls.examples}"

    @classmethod
    def _takes(cls, text: str, whole: int | None) -> bool:
        """True if ``parse`` takes this spelling."""
        try:
            cls(MAX if text == "max" else cls._read(text, whole))
        except (KeyError, ValueError):
            return False
        return True

    @classmethod
    def _amount(cls, number: str, fraction: str | None, unit: str, whole: int | None) -> int:
        if unit or (fraction or "0").strip("0"):
            raise ValueError("a whole number without a unit is needed")
        return int(number)

    @staticmethod
    def _text(amount: int) -> str:
        return str(amount)

    @classmethod
    def _told(cls, amount: int) -> str:
        """The amount in a unit for people."""
        return cls._text(amount)

    @classmethod
    def _bounds(cls, amount: int) -> str:
        """The bound that an amount misses; both bounds if there is no unit beyond them."""
        low, high = cls._told(cls.low), cls._told(cls.high)
        if not cls.takes_max and cls.high < 1 << 32:
            return f"out of range {low}..{high}"
        bound = f"too low: at least {low}" if amount < cls.low else f"too high: at most {high}"
        return bound + ", or max" * (cls.takes_max and not cls.protects)

    def __str__(self) -> str:
        return "max" if self.amount is MAX else self._text(self.amount)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.amount!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.amount == self.amount

    def __hash__(self) -> int:
        return hash((type(self), self.amount))


def as_number(amount: Amount) -> float:
    """The amount as a number to compare: the exact integer, or infinity for no limit."""
    return _NO_LIMIT if amount is MAX else amount


@lru_cache(256)
def level(text: str) -> float:
    """A kernel file's single value as a number to compare: an exact integer, infinity for no limit.

    Raises ValueError for any other text.
    """
    return _NO_LIMIT if text == "max" else int(text)


def amount(text: str) -> Amount:
    """A kernel file's single value: a number, or ``max``. Raises ValueError for any other text.

    A counter that the kernel sums over many CPUs may be below zero for a moment; that gives 0.
    """
    text = text.strip()
    return MAX if text == "max" else max(0, int(text))


class Bytes(Quantity):
    """Bytes that are no part of the host's memory, such as those of a disk."""

    __slots__ = ()
    kind = "size"
    examples = "2G, 512MiB, 1.5G, 1073741824 or max"
    high = (1 << 63) - 1
    _base: ClassVar[int] = 1024

    @classmethod
    def _amount(cls, number: str, fraction: str | None, unit: str, whole: int | None) -> int:
        if unit == "%":
            return _percent(number, fraction, whole if cls.percent else None)
        return scaled(number, fraction, cls._factor(unit))

    @classmethod
    def _factor(cls, unit: str) -> int:
        upper = unit.upper()
        if upper.endswith("I"):  # Kubernetes writes it so
            upper += "B"
        if upper.endswith("IB"):
            return int(1024 ** _POWERS[upper[:-2]]) if len(upper) > 2 else _reject(unit)
        if upper.endswith("B") and len(upper) > 1:
            return int(1000 ** _POWERS[upper[:-1]])
        return int(cls._base ** _POWERS["" if upper == "B" else upper])


class Size(Bytes):
    """Bytes. ``50%`` is of the host's memory.

    ``bare``: the number as it was written, if it has no unit and is so small that the unit was probably forgotten; else
    empty.
    """

    __slots__ = ("bare",)
    bare: str
    examples = "2G, 512MiB, 1.5G, 50%, 1073741824 or max"
    percent = True

    def __init__(self, amount: Amount) -> None:
        super().__init__(amount)
        self.bare = ""

    @classmethod
    def parse(cls, text: str | int | float, *, whole: int | None = None) -> Self:
        """As Quantity.parse."""
        size = super().parse(text, whole=whole)
        if size.amount is not MAX and size.amount < 1024 and (plain := str(text).strip())[-1:] in "0123456789.":
            size.bare = plain
        return size


class Protected(Size):
    """Bytes that are protected. ``50%`` is of the host's memory."""

    __slots__ = ()
    examples = "2G, 512MiB, 1.5G, 50%, 1073741824 or 0"
    protects = True


class Rate(Bytes):
    """Bytes per second. A bare letter is a power of 1000; ``/s`` may follow."""

    __slots__ = ()
    kind = "rate"
    examples = "20MB/s, 5M, 10MiB/s, 1048576 or max"
    low = 2  # the kernel answers ERANGE to 0, and before 7 EINVAL to 1
    high = U64_MAX - 1
    _base = 1000

    @classmethod
    def _amount(cls, number: str, fraction: str | None, unit: str, whole: int | None) -> int:
        return scaled(number, fraction, cls._factor(unit.removesuffix("/s").strip()))


class Ops(Rate):
    """Operations per second."""

    __slots__ = ()
    kind = "operations"
    examples = "5000/s, 5k/s, 120 or max"
    high = (1 << 32) - 2  # one more is the kernel's "max"

    @classmethod
    def _factor(cls, unit: str) -> int:
        return int(1000 ** _POWERS[unit.upper()])


class Duration(Quantity):
    """Time in microseconds, the kernel's unit; a number without a unit is microseconds."""

    __slots__ = ()
    kind = "time"
    examples = "100ms, 20000us, 0.5s or 20000 (microseconds)"
    takes_max = False
    _units: ClassVar[dict[str, int]] = {"": 1, "us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6}

    @classmethod
    def _amount(cls, number: str, fraction: str | None, unit: str, whole: int | None) -> int:
        return scaled(number, fraction, cls._units[unit])

    @classmethod
    def _told(cls, amount: int) -> str:
        """The amount in the longest unit that gives a whole number."""
        units = [(unit, size) for unit, size in Duration._units.items() if unit and amount % size == 0]
        unit, size = units[-1] if amount else units[0]
        return f"{amount // size}{unit}"


class Deadline(Duration):
    """Time to wait, at most a year; a number without a unit is seconds. ``m`` is minutes here, as for sleep(1)."""

    __slots__ = ()
    examples = "10, 10s, 500ms or 2min"
    high = 8760 * 3600 * 10**6
    _units: ClassVar[dict[str, int]] = {**Duration._units, "": 10**6, "m": 60 * 10**6, "d": 86400 * 10**6}

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return as_number(self.amount) / 10**6


class Weight(Quantity):
    """A share when others want the resource, too: 1..10000; a new VE has 100."""

    __slots__ = ()
    kind = "weight"
    examples = "100 (1 to 10000)"
    low = 1
    high = 10000
    takes_max = False


class Count(Quantity):
    """A whole number of things."""

    __slots__ = ()
    examples = "500 or max"


class PidCount(Count):
    """Processes and threads, up to the kernel's PID_MAX_LIMIT."""

    __slots__ = ()
    high = 4194304


class Vcpus(Count):
    """Number of whole CPUs that a VE sees; ``max``: all of the host's."""

    __slots__ = ()
    examples = "2 or max"
    low = 1
    high = 8192


class Flag(Quantity):
    """Yes or no, as 1 or 0."""

    __slots__ = ()
    examples = "1, 0, true or false"
    high = 1
    takes_max = False

    @classmethod
    def parse(cls, text: Any, *, whole: int | None = None) -> Self:
        """Read true, false, 1, 0, and the usual words."""
        words = {"1": 1, "true": 1, "yes": 1, "on": 1, "0": 0, "false": 0, "no": 0, "off": 0}
        try:
            return cls(words[str(text).strip().lower()])
        except KeyError:
            raise ValueError(f"{str(text)[:64]!r} is not a yes or no. Write it like {cls.examples}") from None


def _percent(number: str, fraction: str | None, whole: int | None) -> int:
    if whole is None:
        raise ValueError("a percentage has no meaning here")
    percent = scaled(number, fraction, 10**6)
    if percent > 100 * 10**6:
        raise ValueError("more than 100%")
    return percent * whole // (100 * 10**6)


def _reject(unit: str) -> int:
    raise KeyError(unit)


def human_size(amount: Amount | float | None, suffix: str = "") -> str:
    """Bytes for people: ``1.5G``; ``max`` for no limit, ``-`` for unknown (``None``)."""
    return _human(amount, 1024, suffix)


def human_rate(amount: Amount | float | None) -> str:
    """Bytes per second for people, in powers of 1000: ``20M/s``."""
    return _human(amount, 1000, "/s")


def _human(amount: Amount | float | None, base: int, suffix: str) -> str:
    if amount is None:
        return "-"
    if amount is MAX:
        return "max"
    value = float(amount)
    for power in "", "K", "M", "G", "T", "P":
        if abs(value) < base or power == "P":
            return f"{value:.4g}{power}{suffix}" if power else f"{value:g}{suffix}"
        value /= base
    raise AssertionError("not reached")
