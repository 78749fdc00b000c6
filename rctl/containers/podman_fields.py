"""podman's fields for the entries of interface files. Pure.

podman shows what it has stored as docker does (``HostConfig``), so the fields have docker's names (``File.docker``).
It takes updates in the form of the OCI runtime specification (``LinuxResources``), and can set most of them back to "no
limit". What it has no field for can be stored by the name of the interface file (``CgroupConf``, the option
``--cgroup-conf`` of ``podman run``).

podman stores an update also if its runtime refuses it, and then sends it with each later update and start. So nothing
may be asked for that the runtime refuses.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any

from ..controllers import cpu, cpuset, memory, pids
from ..formats import File
from . import cpu_shares, docker_fields
from .docker_fields import LEAST_MEMORY, NO_LIMIT, SWAP, Form

BY_NAME = frozenset((memory.HIGH, memory.LOW, memory.MIN, memory.SWAP_HIGH, memory.OOM_GROUP))
"""Files that podman stores by their names. ``memory.low`` has a field, too, which limits the scope alone.

No file whose value the kernel may refuse because of another one: then the container would not start.
"""
_CONF = "CgroupConf"
_USUAL_PERIOD = "100000"
_OCI = {
    "Memory": ("memory", "limit"),
    "MemorySwap": ("memory", "swap"),
    "MemoryReservation": ("memory", "reservation"),
    "CpuQuota": ("cpu", "quota"),
    "CpuPeriod": ("cpu", "period"),
    "CpuShares": ("cpu", "shares"),
    "CpusetCpus": ("cpu", "cpus"),
    "CpusetMems": ("cpu", "mems"),
    "PidsLimit": ("pids", "limit"),
}


def known(file: File) -> bool:
    """True if podman can store the file's entry."""
    return bool(file.docker) or file in BY_NAME


def stored(file: File, config: Mapping[str, Any]) -> Form:
    """The fields of an entry in a container's ``HostConfig``. Raises ValueError for a value of a wrong type.

    A field that stands for no limit is 0. But a ``CpuQuota`` of -1 stays: podman makes it 1 % of a CPU at the scope.
    """
    found = _native(docker_fields.stored(file, config)) if file.docker else {}
    for name in ("Memory", "MemoryReservation"):
        if found.get(name) == NO_LIMIT:
            found[name] = 0
    by_name = config.get(_CONF) or {}
    if not isinstance(by_name, dict):
        raise ValueError(f"{_CONF} is {str(by_name)[:64]!r}")
    if file in BY_NAME or file.name in by_name:
        text = by_name.get(file.name)
        if not isinstance(text, str | None):
            raise ValueError(f"{file.name} is {str(text)[:64]!r}")
        found[file.name] = text
    return found


def _native(own: Form) -> Form:
    """Those with docker's names, without the one that podman derives from others."""
    return {name: value for name, value in own.items() if name in _OCI or name == SWAP}


def entries(file: File, own: Form) -> tuple[str, ...]:
    """The entry with which a container with these fields starts; several if that depends on its runtime's version."""
    if (text := own.get(file.name)) is not None:
        try:
            return (file.wish(str(text), mmap.PAGESIZE)[1],)
        except ValueError:
            return ()
    native = _native(own)
    return docker_fields.entries(file, native) if native else (file.default,)


def form(file: File, entry: str, kept: Form) -> Form | None:
    """The fields that set an entry; ``None`` if podman could not start the container with them.

    ``kept``: the stored fields. They stay if they mean the same, and for an empty list: the plan replaces that.
    """
    if not entry or (entry in entries(file, kept) and kept.get("CpuQuota") != NO_LIMIT):
        return kept
    found: Form | None = _fields(file, entry) if file.docker else {}
    if found is not None and file.name in kept:
        found[file.name] = entry
    return found


def _fields(file: File, entry: str) -> Form | None:
    name = file.docker[0]
    if file is cpu.MAX:
        quota, period = entry.split()
        if quota == "max":
            return {"CpuQuota": 0, "CpuPeriod": 0} if period == _USUAL_PERIOD else None
        return {"CpuQuota": int(quota), "CpuPeriod": int(period)}
    if file is cpu.WEIGHT:
        if entry == file.default:
            return {name: 0}
        return {name: cpu_shares.for_weight(int(entry))[0]} if int(entry) else None
    if file in (cpuset.CPUS, cpuset.MEMS):
        return {name: entry}
    if file is memory.SWAP_MAX:
        return {SWAP: NO_LIMIT if entry == "max" else int(entry)}
    if file is pids.MAX:
        return None if entry == "0" else {name: NO_LIMIT if entry == "max" else int(entry)}
    if file is memory.MAX:
        return {name: 0} if entry == "max" else {name: int(entry)} if int(entry) >= LEAST_MEMORY else None
    return None if entry == "max" else {name: int(entry)}


def request(forms: Mapping[File, Form], config: Mapping[str, Any], swap: int) -> dict[str, dict[str, Any]]:
    """The body of an update that sets these fields. ``swap``: the present limit of swap alone, in bytes; -1: none.

    What is not set in a field is asked for as no limit, except CPUs and memory nodes: those cannot be unset.
    """
    fields = {name: value for own in forms.values() for name, value in own.items()}
    body: dict[str, dict[str, Any]] = {}
    if memory.MAX in forms or memory.SWAP_MAX in forms:
        limit = int(fields.get("Memory", config.get("Memory")) or 0)
        asked = fields.pop(SWAP, swap)
        endless = limit <= 0 or asked is None or asked == NO_LIMIT
        fields["Memory"] = limit if limit > 0 else NO_LIMIT
        fields["MemorySwap"] = NO_LIMIT if endless else limit + int(asked or 0)
    for name, value in fields.items():
        if name not in _OCI:
            if value is not None:
                body.setdefault("unified", {})[name] = value
        elif value or not name.startswith("Cpuset"):
            group, part = _OCI[name]
            body.setdefault(group, {})[part] = _number_or_text(name, value)
    return body


def _number_or_text(name: str, value: Any) -> Any:
    if name == "CpuQuota":
        return max(0, value)  # -1 would be 1 % of a CPU at the scope
    return value or NO_LIMIT if name == "PidsLimit" else value
