"""Block I/O: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files

io.max and io.weight came with Linux 4.5, io.latency with 4.19. Here a limit names a whole disk as ``MAJOR:MINOR``;
names and paths are resolved before.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import DEVICE, File, Keyed, LimitMetric, PerDevice, Write, nested_keyed
from ..host import Host
from ..units import U64_MAX, Amount, Duration, Ops, Rate, Weight, amount


class DeviceMax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Most bytes and operations per second, read and written. Unset: unchanged."""

    rbps: Rate | UnsetType = UNSET
    wbps: Rate | UnsetType = UNSET
    riops: Ops | UnsetType = UNSET
    wiops: Ops | UnsetType = UNSET


class Latency(Duration):
    """The target of ``io.latency`` in microseconds; the kernel stores nanoseconds (block/blk-iolatency.c)."""

    __slots__ = ()
    examples = "10ms, 500us, 10000 (microseconds) or max"
    low = 1
    high = U64_MAX // 1000
    takes_max = True


class DeviceLatency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mean latency above which the kernel slows neighbours with a higher target, or without one. Unset: unchanged."""

    target: Latency | UnsetType = UNSET


MAX = PerDevice(
    "io.max", "io",
    systemd=("IOReadBandwidthMax=", "IOWriteBandwidthMax=", "IOReadIOPSMax=", "IOWriteIOPSMax="),
    about="Most bytes and operations per second, by disk. I/O above it waits.",
    values=DeviceMax, example="rbps=20MB/s wiops=500", what="rate",
    metrics=(
        LimitMetric("io_max_read_bytes_per_second", "Most bytes read per second.", value="rbps"),
        LimitMetric("io_max_write_bytes_per_second", "Most bytes written per second.", value="wbps"),
        LimitMetric("io_max_reads_per_second", "Most reads per second.", value="riops"),
        LimitMetric("io_max_writes_per_second", "Most writes per second.", value="wiops"),
    ),
)  # fmt: skip
LATENCY = PerDevice(
    "io.latency", "io", since="4.19", values=DeviceLatency, example="target=10ms", what="value",
    config="CONFIG_BLK_CGROUP_IOLATENCY",
    systemd=("IODeviceLatencyTargetSec=",),
    about="Latency target by disk: if the VE's I/O takes longer, VEs with a higher target, or none, are slowed.",
    metrics=(LimitMetric("io_latency_target_seconds", "Latency that io.latency protects.", value="target"),),
)  # fmt: skip
WEIGHT = Keyed(
    "io.weight", "io", default="100", unit="weight",
    systemd=("IOWeight=", "IODeviceWeight="),
    about="Share of the disks when others want them, too. It needs iocost or BFQ on the disk.",
    metrics=(LimitMetric("io_weight", "Share of the disks, 1 to 10000."),),
)  # fmt: skip
BFQ_WEIGHT = Keyed(
    "io.bfq.weight", "io", default="100", since="5.0", unit="weight", most=1000,
    systemd=("IOWeight=",),
    about="The same share, for BFQ only. rctl sets it together with io.weight.",
)  # fmt: skip
BY_DEVICE = (MAX, LATENCY)
FILES: tuple[File, ...] = (*BY_DEVICE, WEIGHT, BFQ_WEIGHT)


class Io(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``weight``: 1..10000, in effect only under iocost or BFQ (set there, too). ``max``, ``latency``: by device."""

    weight: Weight | UnsetType = UNSET
    max: dict[str, DeviceMax] = {}
    latency: dict[str, DeviceLatency] = {}


class IoStat(msgspec.Struct, frozen=True):
    """``stat``: counters by ``MAJOR:MINOR`` as in ``io.stat``. ``max``: the limits that are set, likewise."""

    stat: dict[str, dict[str, int]]
    max: dict[str, dict[str, Amount]] = {}


def writes(limits: Io, host: Host) -> tuple[Write, ...]:
    """The entries to write for these limits; a value that is left out does not change.

    Raises ValueError for a device that is not resolved.
    """
    found: list[Write] = []
    if limits.weight is not UNSET:
        found.append(Write(WEIGHT, str(limits.weight), key="default"))
        found.append(Write(BFQ_WEIGHT, str(bfq_weight(int(str(limits.weight)))), key="default", if_there=True))
    for file, given in by_device(limits):
        for device, values in given.items():
            if not DEVICE.fullmatch(device):
                raise ValueError(f"{file.name}: {device!r} is not MAJOR:MINOR")
            pairs = [f"{name}={value}" for name in file.names if (value := getattr(values, name)) is not UNSET]
            if pairs:
                found.append(Write(file, " ".join(pairs), key=device))
    return tuple(found)


def by_device(limits: Io) -> Iterator[tuple[PerDevice, Mapping[str, msgspec.Struct]]]:
    """Each limit by device that is set, and its values by device."""
    for file in BY_DEVICE:
        if given := getattr(limits, file.field):
            yield file, given


def bfq_weight(weight: int) -> int:
    """The weight for BFQ. BFQ's scale ends at 1000: 100..10000 becomes 100..1000, as in systemd (BFQ_WEIGHT)."""
    return weight if weight <= 100 else 100 + (weight - 100) * (1000 - 100) // (10000 - 100)


READ = ("io.stat", MAX.name)
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> IoStat | None:
    """The statistics, from file texts by name; ``None`` if the controller is not enabled."""
    if "io.stat" not in texts:
        return None
    stat = {
        dev: {key: int(value) for key, value in pairs.items() if value.isdecimal()}
        for dev, pairs in nested_keyed(texts["io.stat"]).items()
    }
    limits = nested_keyed(texts.get("io.max", ""))
    return IoStat(stat, {dev: {k: amount(v) for k, v in pairs.items()} for dev, pairs in limits.items()})
