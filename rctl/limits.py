"""Limits: everything that can be asked of a VE, and the one way from text to it and from it to writes.

Each limit has three states: unset (``msgspec.UNSET``: keep what is there), a value, or ``max`` (no limit).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .controllers import core, cpu, cpuset, hugetlb, io, memory, pids, pressure
from .errors import UsageError
from .formats import File, Write
from .host import Host
from .units import Quantity, Ranges, Size, Vcpus

FILES: tuple[File, ...] = (
    *memory.FILES, *cpu.FILES, *cpuset.FILES, *io.FILES, *pids.FILES, *pressure.FILES, *core.FILES
)  # fmt: skip
"""Every file that rctl knows by name, but for huge pages, whose names depend on the machine."""

_BY_NAME = {file.name: file for file in FILES}


def file_named(name: str) -> File:
    """The file's description by its kernel name; one that is taken verbatim when rctl has no word for it."""
    if known := _BY_NAME.get(name):
        return known
    if name.startswith("hugetlb.") and name.endswith(".max") and name.count(".") == 2:
        return hugetlb.file(name.split(".")[1])
    return core.verbatim(name)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one VE may use. Keys are the kernel's names, so ``memory.swap.max`` is ``limits.memory.swap.max``."""

    memory: memory.Memory = memory.Memory()
    cpu: cpu.Cpu = cpu.Cpu()
    vcpus: Vcpus | UnsetType = UNSET
    cpuset: cpuset.Cpuset = cpuset.Cpuset()
    io: io.Io = io.Io()
    pids: pids.Pids = pids.Pids()
    hugetlb: hugetlb.Hugetlb = {}
    files: dict[str, str | int] = {}


def decode(data: Any, host: Host, kind: type[Any] = Limits) -> Any:
    """Typed limits (or a struct that holds some) from plain data, texts with units allowed.

    Raises UsageError with the key's path. ``50%`` sizes are of ``host.memory``.
    """

    def hook(wanted: type[Any], value: Any) -> Any:
        if issubclass(wanted, Ranges):
            return wanted.parse(value)
        if issubclass(wanted, Quantity):
            percent = wanted is Size and isinstance(value, str) and "%" in value
            return wanted.parse(value, whole=host.memory if percent else None)
        raise NotImplementedError(wanted)

    try:
        return msgspec.convert(data, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        reason, at, path = str(error).rpartition(" - at `$")
    if not at:
        raise UsageError(_readable(path, "", kind))
    where, *rest = path.rstrip("`").split("[...]")
    for part in rest:
        where += f".{_blamed(data, where, kind, hook)}{part}"
    raise UsageError(_readable(reason, where.removeprefix("."), kind))


def _blamed(data: Any, path: str, kind: type[Any], hook: Callable[[type[Any], Any], Any]) -> str:
    """Which key the ``[...]`` after ``path`` in an error stands for: the one whose entry alone is refused too."""
    for key in _at(data, path):
        narrowed = deepcopy(data)
        place = _at(narrowed, path)
        for other in set(place) - {key}:
            del place[other]
        try:
            msgspec.convert(narrowed, kind, dec_hook=hook)
        except msgspec.ValidationError:
            return str(key)
    return "?"


def _at(data: Any, path: str) -> Any:
    """Follow a dotted path. Keys may hold dots themselves, so each step takes the longest key that fits."""
    while path := path.removeprefix("."):
        key = max((k for k in data if path == k or path.startswith(k + ".")), key=len)
        data, path = data[key], path[len(key) :]
    return data


def _readable(reason: str, where: str, kind: type[Any]) -> str:
    """msgspec's reason and the key that it is about as ``key: reason``."""
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", reason, re.DOTALL):
        key = f"{where}.{unknown[1]}".removeprefix(".")
        return f"{key[:80]!r}: there is no such limit{_nearest(key) if kind is Limits else '.'} See rctl schema"
    return f"{where}: {reason}" if where else reason


def keys(kind: type[msgspec.Struct] = Limits, before: str = "") -> list[str]:
    """Every limit's key, dotted; ``io.max``, ``hugetlb`` and ``files`` take a further part of the user's own."""
    found: list[str] = []
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += keys(field.type, f"{before}{field.name}.")
        else:
            found.append(before + field.name)
    return found


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, keys(), 1)
    return f". Did you mean {near[0]}?" if near else "."


def writes(limits: Limits, host: Host) -> tuple[Write, ...]:
    """All entries that the limits ask for, in no particular order. Pure; devices are resolved, vcpus expanded before.

    Raises UsageError when two limits speak of the same entry, or one cannot be right.
    """
    try:
        found = (
            *memory.writes(limits.memory, host),
            *cpu.writes(limits.cpu, host),
            *cpuset.writes(limits.cpuset, host),
            *io.writes(limits.io, host),
            *pids.writes(limits.pids, host),
            *hugetlb.writes(limits.hugetlb, host),
            *core.writes({k: str(v) for k, v in limits.files.items()}, file_named, host),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    seen: set[tuple[str, str]] = set()
    for write in found:
        if (write.file.name, write.key) in seen:
            raise UsageError(f"files: {write.file.name} is asked for twice. Give it once, by its name or verbatim")
        seen.add((write.file.name, write.key))
    return found


_ALSO = {
    "cpu.max.burst": "cpu.burst",
    "cpuset.cpus.partition": "cpuset.partition",
    "memory": "memory.max",
    "swap": "memory.swap.max",
    "cpus": "cpu.max",
    "pids": "pids.max",
}
"""What else people call a limit: the kernel's file, where the key is another, and the flags."""


def nest(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """``{"memory.max": "2G"}`` as ``{"memory": {"max": "2G"}}``; what follows ``hugetlb.`` or ``files.`` stays whole.

    ``io.max`` takes the kernel's own form, ``DEVICE rbps=1M wiops=max``. Raises UsageError.
    """
    nested: dict[str, Any] = {}
    for key, value in pairs.items():
        for parts, leaf in _leaves(key if isinstance(value, dict) else _ALSO.get(key, key), value):
            place = nested
            for part in parts[:-1]:
                place = place.setdefault(part, {})
                if not isinstance(place, dict):
                    raise UsageError(f"{key}: clashes with another limit given")
            if parts[-1] in place:
                raise UsageError(f"{key}: given twice. Give it once")
            place[parts[-1]] = leaf
    return nested


def _leaves(key: str, value: Any) -> list[tuple[list[str], Any]]:
    if key == "io.max" and isinstance(value, str):
        device, rates = _device_line(value)
        return [(["io", "max", device, name], rate) for name, rate in rates.items()]
    parts = key.split(".", 1) if key.startswith(("files.", "hugetlb.")) else key.split(".")
    if parts[0] == "hugetlb":
        parts[-1] = parts[-1].removesuffix(".max")
    return [(parts, value)]


def _device_line(text: str) -> tuple[str, dict[str, str]]:
    device, *pairs = text.split() or [""]
    rates = {name: value for name, equals, value in (pair.partition("=") for pair in pairs) if equals}
    if not pairs or len(rates) != len(pairs):
        raise UsageError(f"io.max: {text!r} is not understood. Write it like 'vda rbps=20M wiops=500'")
    return device, rates
