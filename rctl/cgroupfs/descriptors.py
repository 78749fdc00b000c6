"""Typed attributes for cgroup v2 files, on the descriptors of cgroupspy, which itself supports only v1.

A descriptor reads through its owner's ``get_property(filename)`` and writes through ``set_property(filename, value)``.
The owner gets a new value unchanged (``"2G"``, ``1.5``, ``MAX``): the limits parse units.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from cgroupspy.interfaces import BaseFileInterface

from ..controllers import cpu
from ..errors import UsageError
from ..formats import Pressure, flat_keyed, nested_keyed, pressure
from ..ranges import Ranges
from ..units import MAX, Amount, amount

T = TypeVar("T")


class Interface(BaseFileInterface, Generic[T]):
    """Base: one file as one attribute. Raises UsageError for a read-only file, and for ``None``."""

    def __init__(self, filename: str, readonly: bool = False) -> None:
        super().__init__(filename, readonly=readonly)

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            return self  # on the class: the descriptor itself
        value: T = super().__get__(instance, owner)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        name = self.filename.decode()
        if self.readonly:
            raise UsageError(f"{name}: is read-only")
        if value is None:
            raise UsageError(f"{name}: cannot be set to None. Give a value, or rctl.MAX for no limit")
        super().__set__(instance, value)


class AmountFile(Interface[Amount]):
    """A number, or ``MAX``."""

    def sanitize_get(self, value: str) -> Amount:
        """From the file's text."""
        return amount(value)


class FlagFile(Interface[bool]):
    """1 or 0."""

    def sanitize_get(self, value: str) -> bool:
        """From the file's text."""
        return value.strip() == "1"


class CpuMaxFile(Interface["float | Amount"]):
    """``cpu.max`` as a number of CPUs, or ``MAX``."""

    def sanitize_get(self, value: str) -> float | Amount:
        """From the file's text."""
        cpus = cpu.cpus_of(value.strip())
        return MAX if cpus is None else cpus


class CpuPeriodFile(Interface[int]):
    """The period in ``cpu.max``, microseconds."""

    def sanitize_get(self, value: str) -> int:
        """From the file's text."""
        return int(value.split()[1])


class RangesFile(Interface[Ranges]):
    """A list of CPU or node numbers."""

    def sanitize_get(self, value: str) -> Ranges:
        """From the file's text."""
        return Ranges.parse(value)


class TextFile(Interface[str]):
    """One word or line."""

    def sanitize_get(self, value: str) -> str:
        """From the file's text."""
        return value.strip()


class DefaultFile(Interface[Amount]):
    """The ``default`` line of ``io.weight``."""

    def sanitize_get(self, value: str) -> Amount:
        """From the file's text."""
        return amount(flat_default(value))


class FlatKeyedFile(Interface["dict[str, int]"]):
    """A name and an integer on each line."""

    def sanitize_get(self, value: str) -> dict[str, int]:
        """From the file's text."""
        return flat_keyed(value)


class NestedKeyedFile(Interface["dict[str, dict[str, str]]"]):
    """A key and pairs on each line."""

    def sanitize_get(self, value: str) -> dict[str, dict[str, str]]:
        """From the file's text."""
        return nested_keyed(value)


class PressureFile(Interface["dict[str, Pressure]"]):
    """The lines of a pressure file."""

    def sanitize_get(self, value: str) -> dict[str, Pressure]:
        """From the file's text."""
        return pressure(value)


def flat_default(text: str) -> str:
    """The number after ``default`` in ``io.weight``."""
    return str(flat_keyed(text).get("default", 100))
