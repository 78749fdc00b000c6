"""docker's fields (``HostConfig``) for the entries of interface files. Pure.

The names are declared with each limit (``File.docker``). See ``POST /containers/{id}/update`` in
https://docs.docker.com/reference/api/engine/. A field that is 0, empty or null is not set. An update leaves such a
field as it is, so docker cannot unset a field; some have a value with the same effect.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any

from ..controllers import cpu, cpuset, memory, pids
from ..formats import File
from ..ranges import Ranges
from . import cpu_shares

FieldValue = int | str | None
Form = dict[str, FieldValue]
"""The fields of one entry, by name; a field that is not set is 0, empty or ``None``.

docker counts memory and swap together (``MemorySwap``), an entry swap alone. So the form of ``memory.swap.max`` has
``Swap``: the bytes above ``Memory``; -1: no limit.
"""
SWAP = "Swap"
LEAST_MEMORY = 6 << 20
"""Bytes: docker refuses less (``linuxMinMemory``)."""
ENDLESS = (1 << 63) - 1
"""Bytes of memory that the kernel shows as ``max``."""
NO_LIMIT = -1
_PERIOD = 100_000
_NANO = 10_000
"""Billionths of a CPU that are a microsecond of docker's period, which is 100 ms."""


def stored(file: File, config: Mapping[str, Any]) -> Form:
    """The fields of an entry in a container's ``HostConfig``. Raises ValueError for a value of a wrong type."""
    if file is memory.SWAP_MAX:
        limit, both = _number("Memory", config), _number("MemorySwap", config)
        return {SWAP: both - limit if both > 0 else both or None}
    if file in (cpuset.CPUS, cpuset.MEMS):
        [name] = file.docker
        if not isinstance(listed := config.get(name) or "", str):
            raise ValueError(f"{name} is {str(listed)[:64]!r}")
        return {name: listed}
    if file is pids.MAX and config.get("PidsLimit") is None:
        return {"PidsLimit": None}
    return {name: _number(name, config) for name in file.docker}


def _number(name: str, config: Mapping[str, Any]) -> int:
    found = config.get(name) or 0
    if not isinstance(found, int):
        raise ValueError(f"{name} is {str(found)[:64]!r}")
    return found


def is_set(form: Form) -> bool:
    """True if docker has a value for the entry."""
    return any(_given(name, value) for name, value in form.items())


def _given(name: str, value: FieldValue) -> bool:
    return value is not None if name in (SWAP, "PidsLimit") else bool(value)


def entries(file: File, form: Mapping[str, Any]) -> tuple[str, ...]:
    """The entry with which a container with these fields starts; several if that depends on its runtime's version.

    Empty if the entry depends on the host.
    """
    if file is cpu.MAX:
        return (_cpu_max(form),)
    [value] = form.values()
    if file is cpu.WEIGHT:
        return (str(cpu_shares.linear(value)), str(cpu_shares.quadratic(value))) if value else (file.default,)
    if file is pids.MAX:
        return () if value is None else ("max" if value <= 0 else str(value),)
    if file in (cpuset.CPUS, cpuset.MEMS):
        try:
            return (str(Ranges.parse(value)),)
        except ValueError:
            return ()
    if file is memory.SWAP_MAX:
        return ("max" if value in (None, NO_LIMIT) else _paged(value),)
    if not value:
        return (file.default,)
    return ("max" if value >= ENDLESS // mmap.PAGESIZE * mmap.PAGESIZE else _paged(value),)


def _paged(size: int) -> str:
    return str(size // mmap.PAGESIZE * mmap.PAGESIZE)


def _cpu_max(form: Mapping[str, Any]) -> str:
    quota, period, nano = (form.get(name) or 0 for name in ("CpuQuota", "CpuPeriod", "NanoCpus"))
    if not quota and nano:
        quota, period = nano // _NANO, _PERIOD
    return f"{quota if quota > 0 else 'max'} {period or _PERIOD}"


def form(file: File, entry: str, kept: Form, cpus: int) -> Form | None:
    """The fields that set an entry; ``None`` if an update cannot do that, or could not take it back.

    ``kept``: the stored fields. They stay if they mean the same, and for an empty list: the plan replaces that.
    ``cpus``: of the host; docker refuses more ``NanoCpus``.
    """
    if not entry or entry in entries(file, kept):
        return kept
    if file is cpu.MAX:
        return _cpu_fields(entry, kept, cpus)
    if file is cpu.WEIGHT:
        return {"CpuShares": cpu_shares.for_weight(int(entry))[0]} if int(entry) else None
    if file is pids.MAX:
        return None if entry == "0" else {"PidsLimit": NO_LIMIT if entry == "max" else int(entry)}
    [name] = kept
    if file in (cpuset.CPUS, cpuset.MEMS):
        return {name: entry}
    if file is memory.SWAP_MAX:
        return {name: NO_LIMIT if entry == "max" else int(entry)}
    if file is memory.LOW and not kept[name]:
        return None  # nothing has the effect of no reservation
    if entry == "max":
        return {name: ENDLESS} if file is memory.MAX else None
    return {name: int(entry)} if int(entry) >= LEAST_MEMORY else None


def _cpu_fields(entry: str, kept: Form, cpus: int) -> Form | None:
    """A quota, unless the container was given a number of CPUs: docker refuses to change one into the other.

    A quota of -1 takes a quota back. Nothing takes ``NanoCpus`` back.
    """
    quota, period = entry.split()
    if kept.get("NanoCpus"):
        if quota == "max" or period != str(_PERIOD) or kept.get("CpuQuota") or int(quota) > cpus * _PERIOD:
            return None
        return {**kept, "NanoCpus": int(quota) * _NANO}
    usual = kept.get("CpuPeriod") or _PERIOD
    return {
        "NanoCpus": 0,
        "CpuQuota": NO_LIMIT if quota == "max" else int(quota),
        "CpuPeriod": kept.get("CpuPeriod", 0) if period == str(usual) else int(period),
    }


def request(forms: Mapping[File, Form], config: Mapping[str, Any], swap: int) -> dict[str, FieldValue]:
    """The body of an update that sets these fields. ``swap``: the present limit of swap alone, in bytes; -1: none."""
    body = {
        name: value
        for file, own in forms.items()
        for name, value in own.items()
        if name != SWAP and _given(name, value)
    }
    if memory.MAX in forms or memory.SWAP_MAX in forms:
        limit = body.get("Memory") or _number("Memory", config)
        asked = forms.get(memory.SWAP_MAX, {SWAP: swap})[SWAP]
        assert isinstance(limit, int)
        if limit:
            body["Memory"] = limit
        endless = not isinstance(asked, int) or asked == NO_LIMIT
        body["MemorySwap"] = NO_LIMIT if endless or not limit else min(ENDLESS, limit + int(asked or 0))
    return body
