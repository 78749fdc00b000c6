"""systemd's properties for the entries of interface files. Pure.

The names are declared with each limit (``File.systemd``), as in systemd.resource-control(5). On D-Bus, some have other
names and units: see the man page org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..controllers import cpu, cpuset, io
from ..formats import File
from ..ranges import Ranges
from ..units import level

INFINITY = (1 << 64) - 1
"""No limit; for a weight and a period: not set."""
Value = int | str | bool | None
"""``None``: not set. The CPUs and nodes are hexadecimal: a bit for each, as systemd has them."""
_BUS = {
    "CPUQuota": "CPUQuotaPerSecUSec",
    "CPUQuotaPeriodSec": "CPUQuotaPeriodUSec",
    "IODeviceLatencyTargetSec": "IODeviceLatencyTargetUSec",
}
_SINCE = {"MemoryZSwapMax": 253, "MemoryZSwapWriteback": 256, "CPUSetPartition": 261}
"""The version of systemd that brought a property; all others came before 244, the first with all of cgroup v2."""
ManagerVersion = Callable[[], int]
"""The manager's version: it is asked only for a property that came late."""
_MASKS = ("AllowedCPUs", "AllowedMemoryNodes")
_RESET = frozenset(("memory.oom.group", "cpu.weight.nice", io.BFQ_WEIGHT.name))
"""Files that systemd writes together with others, without a property for a running unit."""
_PERIOD = 100_000
PERCENT = 10_000
"""One per cent of a CPU, in microseconds of each second."""


def names(file: File, version: ManagerVersion) -> tuple[str, ...]:
    """The properties that set the file in a running unit; empty if this version of systemd has none."""
    found, since = _names_since(file)
    return found if not since or since <= version() else ()


@cache
def _names_since(file: File) -> tuple[tuple[str, ...], int]:
    """The properties for running units, and the version that has them all; 0: each one that knows cgroup v2."""
    if file.name in _RESET:
        return (), 0
    found = (name.rstrip("=") for name in file.systemd if not name.startswith("Startup"))
    plain = tuple(name.partition("=")[0] for name in found)
    return plain, max((_SINCE.get(name, 0) for name in plain), default=0)


def names_at(file: File, key: str, version: ManagerVersion) -> tuple[str, ...]:
    """The properties that set the entry ``key`` of the file, as ``names``; those of one device or the default alone."""
    found = names(file, version)
    if file is not io.WEIGHT:
        return found
    return tuple(name for name in found if by_device(name) is (key != "default"))


def resets(file: File, version: ManagerVersion) -> bool:
    """True if systemd sets the file back to a value of its own."""
    return file.name in _RESET or bool(names(file, version))


def lines(name: str, value: Value) -> tuple[str, ...]:
    """The lines by which a systemd may store a number in a drop-in; none if no line tells the value exactly.

    252 stores a CPU limit in whole per cent, 257 in hundredths of one.
    """
    if signature(name) != "t" or not isinstance(value, int):
        return ()
    if name == "CPUQuota" and value != INFINITY:
        whole, rest = divmod(value, PERCENT)
        fine = f"{name}={whole}.{rest // 100:02}%"
        return () if rest % 100 else (fine,) if rest else (f"{name}={whole}%", fine)
    if name.startswith("CPUQuota"):
        return (f"{name}=",) if value == INFINITY else ()
    return (f"{name}={'infinity' if value == INFINITY else value}",)


def on_bus(name: str) -> str:
    """The name of a property on D-Bus."""
    return _BUS.get(name, name)


@cache
def by_device(name: str) -> bool:
    """True if the property is a list of devices and their values."""
    return name.startswith("IO") and name != "IOWeight"


@cache
def signature(name: str) -> str:
    """The D-Bus type of a property."""
    if by_device(name):
        return "a(st)"
    return "ay" if name in _MASKS else "b" if name == "MemoryZSwapWriteback" else "t"


def values(file: File, key: str, entry: str) -> dict[str, Value]:
    """The properties, by their documented name, with which systemd makes the file hold ``entry``.

    Those of the device ``key``, where the property is a list of devices. Raises ValueError for an entry that has none.
    """
    if special := _SPECIAL.get(file):
        return special(key, entry)
    [name], _ = _names_since(file)
    if signature(name) == "b":
        return {name: entry == "1"}
    number = level(entry)
    return {name: INFINITY if number == math.inf else int(number)}


def _cpu_max(_: str, entry: str) -> dict[str, Value]:
    quota, period = entry.split()
    return {
        "CPUQuota": INFINITY if quota == "max" else -(-int(quota) * 1_000_000 // int(period)),
        "CPUQuotaPeriodSec": INFINITY if int(period) == _PERIOD else int(period),
    }


_IO_MAX = {
    "rbps": "IOReadBandwidthMax", "wbps": "IOWriteBandwidthMax", "riops": "IOReadIOPSMax", "wiops": "IOWriteIOPSMax",
}  # fmt: skip


def _io_max(_: str, entry: str) -> dict[str, Value]:
    given = dict(pair.split("=") for pair in entry.split())
    return {name: _or_none(given[each], "max") for each, name in _IO_MAX.items()}


def _io_weight(key: str, entry: str) -> dict[str, Value]:
    return {"IOWeight": int(entry)} if key == "default" else {"IODeviceWeight": _or_none(entry, "default")}


_SPECIAL: Mapping[File, Callable[[str, str], dict[str, Value]]] = {
    cpu.MAX: _cpu_max,
    cpu.IDLE: lambda _, entry: {"CPUWeight": 0} if entry == "1" else {},
    cpu.WEIGHT: lambda _, entry: {} if entry == "0" else {"CPUWeight": int(entry)},  # 0: while it is idle
    cpuset.CPUS: lambda _, entry: {"AllowedCPUs": mask(entry)},
    cpuset.MEMS: lambda _, entry: {"AllowedMemoryNodes": mask(entry)},
    io.WEIGHT: _io_weight,
    io.BFQ_WEIGHT: lambda _, entry: {},
    io.MAX: _io_max,
    io.LATENCY: lambda _, entry: {"IODeviceLatencyTargetSec": _or_none(entry.partition("=")[2], "max")},
}
"""The properties of the files that need more than one number or flag, from the entry's key and text."""


def _or_none(text: str, unset: str) -> int | None:
    return None if text == unset else int(text)


def mask(entry: str) -> str:
    """A list of CPUs or nodes as systemd has it: bit 0 of the first byte is number 0. Hexadecimal."""
    bits = sum(1 << number for number in Ranges.parse(entry).numbers)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex()


def from_bus(name: str, raw: Any) -> Value:
    """The value of a property that D-Bus gave; not for a list of devices."""
    if signature(name) == "ay":
        return bytes(raw).rstrip(b"\0").hex()
    return bool(raw) if signature(name) == "b" else int(raw)


def to_bus(name: str, value: Value) -> Any:
    """A value as D-Bus takes it; not for a list of devices."""
    return bytes.fromhex(value) if isinstance(value, str) else value
