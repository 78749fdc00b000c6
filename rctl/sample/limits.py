"""All limits that are set on one VE, from the kernel's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cgroupfs.cgroup import Cgroup
from ..controllers import cpu, hugetlb
from ..formats import File, Keyed, Nested, flat_keyed, nested_keyed
from ..limits import FILES, file_named
from ..units import Amount, amount

NAMES = tuple(file.name for file in FILES)
"""The files of all limits, but for huge pages."""


def texts(cgroup: Cgroup) -> dict[str, str]:
    """The text of each limit's file, by name; missing files are left out. Raises GoneError, KernelError."""
    names = (*NAMES, *filter(hugetlb.FILE.fullmatch, hugetlb.files(cgroup.files())))
    return {name: text for name in names if (text := cgroup.read_if_there(name)) is not None}


def among(found: Mapping[str, str]) -> dict[str, str]:
    """The texts of limits' files, of all texts of a VE's files; in the order of NAMES, huge pages last."""
    return {name: found[name] for name in (*NAMES, *filter(hugetlb.FILE.fullmatch, found)) if name in found}


def values(found: Mapping[str, str]) -> dict[str, Any]:
    """Limits for programs, by the kernel's name: exact integers, ``max`` for none, lists and words as text.

    ``cpu.max`` as ``quota`` and ``period`` in microseconds, ``io.max`` and ``io.weight`` by device.
    """
    return {name: _value(file_named(name), text) for name, text in found.items()}


def changed(found: Mapping[str, str]) -> list[tuple[File, str, str]]:
    """The entries that differ from a new cgroup: file, key (a device, or empty), entry in normal form."""
    entries = (
        (file, key, file.entry(text, key))
        for name, text in found.items()
        for file in [file_named(name)]
        for key in _keys(file, text)
    )
    return [(file, "" if key == "default" else key, entry) for file, key, entry in entries if entry != file.default]


def _keys(file: File, text: str) -> list[str]:
    if isinstance(file, Nested | Keyed):
        return [line.split()[0] for line in text.splitlines() if line.strip()]
    return [""]


def _value(file: File, text: str) -> Any:
    if isinstance(file, Nested):
        return {device: _amounts(pairs) for device, pairs in nested_keyed(text).items()}
    if isinstance(file, Keyed):
        return flat_keyed(text)
    if file is cpu.MAX:
        return _amounts(dict(zip(("quota", "period"), text.split(), strict=False)))
    return amount(text) if file.unit else text.strip()


def _amounts(pairs: Mapping[str, str]) -> dict[str, Amount]:
    return {name: amount(value) for name, value in pairs.items()}
