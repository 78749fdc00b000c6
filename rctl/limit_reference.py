"""The description of each limit, from the declarations: for ``rctl help``, the man pages and the documents. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

from .controllers import cpu, cpuset, hugetlb
from .formats import File, PerDevice
from .limits import BY_DEVICE, FILES, default, key_of, kinds
from .ranges import Ranges
from .units import Quantity

_UNITS = {
    "bytes": "bytes",
    "us": "microseconds",
    "count": "number",
    "weight": "weight",
    "flag": "0 or 1",
}
_UNITS_BY_KIND = {
    "size": "bytes",
    "rate": "bytes/s",
    "operations": "operations/s",
    "time": "microseconds",
    "count": "number",
    "weight": "weight",
    "cpus": "CPUs",
}
"""The unit of a device's value, by ``Quantity.kind``."""
_COMPOSED = {"cpu.period": cpu.MAX, "vcpus": None}
"""Limits without their own file: a part of a file, and whole CPUs."""
_COMPOSED_ABOUT = {
    "cpu.period": "The period in which cpu.max counts CPU time.",
    "vcpus": "Number of whole CPUs. rctl picks the CPUs that the fewest VEs have, and sets cpuset.cpus and cpu.max.",
}
_HUGE = ("2MB", "2MB.rsvd")


class KnownLimit(NamedTuple):
    """One limit. ``attribute``: of ``rctl.VE``. ``file``: ``None`` if rctl computes the values of several files."""

    key: str
    attribute: str
    file: File | None
    values: str

    @property
    def about(self) -> str:
        """The effect of the limit, in a sentence."""
        return _COMPOSED_ABOUT.get(self.key) or (self.file.about if self.file else "")

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that it is written to."""
        return (self.file.name,) if self.file else (cpuset.CPUS.name, cpu.MAX.name)

    @property
    def unit(self) -> str:
        """The unit of a number without one. A limit by device has those of its values."""
        if self.file is None or self.key == "cpu.max":
            return "CPUs"
        if isinstance(self.file, PerDevice):
            return ", ".join(dict.fromkeys(_UNITS_BY_KIND[kind.kind] for kind in self.file.kinds.values()))
        return _UNITS.get(self.file.unit, "text")

    @property
    def default(self) -> str:
        """The value of a new VE."""
        found = default(self.key)
        return "max" if isinstance(found, dict) else str(found or "as the parent")


def limits() -> Iterator[KnownLimit]:
    """Every limit that has a key, in the order of ``rctl set --help``."""
    by_key = {key_of(file.name): file for file in FILES}
    for key, kind in kinds().items():
        if (by_device := BY_DEVICE.get(key)) is not None:
            examples = f"`DISK {by_device.example}`; each may be `max`"
            yield KnownLimit(key, key, by_device, examples)
        elif key == "hugetlb":
            for size in _HUGE:
                yield KnownLimit(f"hugetlb.{size}", f'hugetlb["{size}"]', hugetlb.file(size), values(kind))
        elif key != "files":
            yield KnownLimit(key, key, by_key[key] if key in by_key else _COMPOSED[key], values(kind))


def verbatim() -> Iterator[KnownLimit]:
    """Files that rctl knows and that have no key: they are set as ``files.NAME``."""
    keys = kinds()
    for file in FILES:
        if key_of(file.name) not in keys:
            yield KnownLimit(f"files.{file.name}", f'files["{file.name}"]', file, "as the kernel takes it")


def values(kind: Any) -> str:
    """The possible values, by examples."""
    for part in (kind, *get_args(kind)):
        if isinstance(part, type) and issubclass(part, Quantity | Ranges):
            return str(part.examples)
        if get_origin(part) is not None and (words := [word for word in get_args(part) if isinstance(word, str)]):
            return " or ".join(words)
    raise ValueError(f"{kind}: no examples")


def named(key: str) -> KnownLimit | None:
    """The limit with this key, or with a file of this name; ``None`` if there is none."""
    for limit in (*limits(), *verbatim()):
        if key in (limit.key, limit.key.removeprefix("files."), *(limit.files if limit.file else ())):
            return limit
    return None
