"""Block I/O: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files

4.5 brought max and weight. Limits name whole disks as ``MAJOR:MINOR``; names and paths are resolved before.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import DEVICE, File, Keyed, Nested, Write, nested_keyed
from ..host import Host
from ..units import Amount, Ops, Rate, Weight, amount


class IoMax(Nested, frozen=True):
    """``io.max``: two rates in bytes and two in operations per second, by device."""

    def wish(self, text: str, page: int) -> tuple[str, str]:
        device, rest = super().wish(text, page)
        kinds = dict(zip(KEYS, (Rate, Rate, Ops, Ops), strict=True))
        pairs = [pair.partition("=") for pair in rest.split()]
        if not pairs or any(name not in kinds for name, _, _ in pairs):
            raise ValueError(f"{text[:64]!r} is not understood. Write it like '8:0 rbps=1048576 wiops=max'")
        return device, " ".join(f"{name}={kinds[name].parse(value)}" for name, _, value in pairs)


KEYS = ("rbps", "wbps", "riops", "wiops")
MAX = IoMax("io.max", "io", default="rbps=max wbps=max riops=max wiops=max", unit="rates")
WEIGHT = Keyed("io.weight", "io", default="100", unit="weight")
BFQ_WEIGHT = Keyed("io.bfq.weight", "io", default="100", since="5.0", unit="weight", most=1000)
FILES: tuple[File, ...] = (MAX, WEIGHT, BFQ_WEIGHT)


class DeviceMax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Most bytes and operations per second that may be read and written. Unset: left as it is."""

    rbps: Rate | UnsetType = UNSET
    wbps: Rate | UnsetType = UNSET
    riops: Ops | UnsetType = UNSET
    wiops: Ops | UnsetType = UNSET


class Io(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``weight``: 1..10000, in effect only under iocost or BFQ (also set there). ``max``: limits by device."""

    weight: Weight | UnsetType = UNSET
    max: dict[str, DeviceMax] = {}


class IoStat(msgspec.Struct, frozen=True):
    """``stat``: counters by ``MAJOR:MINOR`` as in ``io.stat``. ``max``: limits, likewise, only where one is set."""

    stat: dict[str, dict[str, int]]
    max: dict[str, dict[str, Amount]] = {}


def writes(limits: Io, host: Host) -> tuple[Write, ...]:
    """The entries that these limits ask for; keys left out keep their value.

    Raises ValueError on a device that is not resolved.
    """
    found: list[Write] = []
    if limits.weight is not UNSET:
        found.append(Write(WEIGHT, str(limits.weight), key="default"))
        found.append(Write(BFQ_WEIGHT, str(bfq_weight(int(str(limits.weight)))), key="default", if_there=True))
    for device, rates in limits.max.items():
        if not DEVICE.fullmatch(device):
            raise ValueError(f"io.max: {device!r} is not MAJOR:MINOR")
        pairs = [f"{key}={value}" for key in KEYS if (value := getattr(rates, key)) is not UNSET]
        if pairs:
            found.append(Write(MAX, " ".join(pairs), key=device))
    return tuple(found)


def bfq_weight(weight: int) -> int:
    """BFQ's own scale ends at 1000: what is above 100 is pressed into 100..1000, as systemd does (BFQ_WEIGHT)."""
    return weight if weight <= 100 else 100 + (weight - 100) * (1000 - 100) // (10000 - 100)


def parse(texts: dict[str, str]) -> IoStat | None:
    """From file texts by name; ``None`` where the controller is not enabled."""
    if "io.stat" not in texts:
        return None
    stat = {
        dev: {key: int(value) for key, value in pairs.items() if value.isdecimal()}
        for dev, pairs in nested_keyed(texts["io.stat"]).items()
    }
    limits = nested_keyed(texts.get("io.max", ""))
    return IoStat(stat, {dev: {k: amount(v) for k, v in pairs.items()} for dev, pairs in limits.items()})
