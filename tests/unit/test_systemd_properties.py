"""systemd's properties for the entries of interface files, as systemd.resource-control(5) has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.controllers import cpu, cpuset, io, memory, pids
from rctl.formats import File
from rctl.limits import file_named
from rctl.systemd.properties import (
    INFINITY,
    Value,
    from_bus,
    lines,
    mask,
    names,
    names_at,
    on_bus,
    resets,
    to_bus,
    values,
)

NEW = 261
CASES: list[tuple[File, str, str, dict[str, Value]]] = [
    (memory.MAX, "", "1073741824", {"MemoryMax": 1 << 30}),
    (memory.MAX, "", "max", {"MemoryMax": INFINITY}),
    (memory.LOW, "", "0", {"MemoryLow": 0}),
    (memory.ZSWAP_WRITEBACK, "", "0", {"MemoryZSwapWriteback": False}),
    (pids.MAX, "", "300", {"TasksMax": 300}),
    (cpu.MAX, "", "50000 100000", {"CPUQuota": 500_000, "CPUQuotaPeriodSec": INFINITY}),
    (cpu.MAX, "", "max 100000", {"CPUQuota": INFINITY, "CPUQuotaPeriodSec": INFINITY}),
    (cpu.MAX, "", "7500 10000", {"CPUQuota": 750_000, "CPUQuotaPeriodSec": 10_000}),
    (cpu.WEIGHT, "", "200", {"CPUWeight": 200}),
    (cpu.IDLE, "", "1", {"CPUWeight": 0}),
    (cpuset.CPUS, "", "0-1,9", {"AllowedCPUs": "0302"}),
    (cpuset.MEMS, "", "", {"AllowedMemoryNodes": ""}),
    (io.WEIGHT, "default", "200", {"IOWeight": 200}),
    (io.WEIGHT, "8:0", "300", {"IODeviceWeight": 300}),
    (io.WEIGHT, "8:0", "default", {"IODeviceWeight": None}),
    (io.LATENCY, "8:0", "target=25000", {"IODeviceLatencyTargetSec": 25_000}),
    (
        io.MAX, "8:0", "rbps=1048576 wbps=max riops=max wiops=50",
        {"IOReadBandwidthMax": 1 << 20, "IOWriteBandwidthMax": None, "IOReadIOPSMax": None, "IOWriteIOPSMax": 50},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("file", "key", "entry", "expected"), CASES)
def test_an_entry_as_properties(file: File, key: str, entry: str, expected: dict[str, Value]) -> None:
    assert values(file, key, entry) == expected
    assert set(expected) <= set(names_at(file, key, lambda: NEW))


def test_the_default_and_the_devices_of_a_weight_have_properties_of_their_own() -> None:
    assert names_at(io.WEIGHT, "default", lambda: NEW) == ("IOWeight",)
    assert names_at(io.WEIGHT, "8:0", lambda: NEW) == ("IODeviceWeight",)


@pytest.mark.parametrize("file", [cpu.IDLE, io.BFQ_WEIGHT])
def test_an_entry_that_another_property_brings_about(file: File) -> None:
    assert values(file, "default" if file is io.BFQ_WEIGHT else "", "0") == {}


def test_a_property_that_this_version_lacks_does_not_count() -> None:
    assert names(memory.ZSWAP_MAX, lambda: 252) == ()
    assert names(memory.ZSWAP_MAX, lambda: 253) == ("MemoryZSwapMax",)


@pytest.mark.parametrize("name", ["memory.oom.group", "cpu.weight.nice", "io.bfq.weight", "memory.max"])
def test_what_systemd_sets_back(name: str) -> None:
    assert resets(file_named(name), lambda: 252)


@pytest.mark.parametrize("name", ["cpu.max.burst", "memory.swap.high", "memory.zswap.max", "cgroup.freeze"])
def test_what_systemd_leaves_alone(name: str) -> None:
    assert not resets(file_named(name), lambda: 252)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MemoryMax", 1 << 30, ("MemoryMax=1073741824",)),
        ("TasksMax", INFINITY, ("TasksMax=infinity",)),
        ("CPUWeight", 200, ("CPUWeight=200",)),
        ("CPUQuota", 1_500_000, ("CPUQuota=150%", "CPUQuota=150.00%")),
        ("CPUQuota", 1_505_000, ("CPUQuota=150.50%",)),
        ("CPUQuota", 1_505_050, ()),
        ("CPUQuota", INFINITY, ("CPUQuota=",)),
        ("CPUQuotaPeriodSec", INFINITY, ("CPUQuotaPeriodSec=",)),
        ("CPUQuotaPeriodSec", 10_000, ()),
        ("AllowedCPUs", "03", ()),
        ("IOReadBandwidthMax", None, ()),
    ],
)
def test_the_lines_that_tell_a_value_in_a_drop_in(name: str, value: Value, expected: tuple[str, ...]) -> None:
    assert lines(name, value) == expected


@pytest.mark.parametrize(("name", "expected"), [("CPUQuota", "CPUQuotaPerSecUSec"), ("MemoryMax", "MemoryMax")])
def test_names_on_the_bus(name: str, expected: str) -> None:
    assert on_bus(name) == expected


@given(st.integers(1000, 10_000_000), st.integers(1000, 1_000_000))
def test_systemd_makes_the_same_quota_of_the_property(quota: int, period: int) -> None:
    per_second = values(cpu.MAX, "", f"{quota} {period}")["CPUQuota"]
    assert isinstance(per_second, int)
    assert per_second * period // 1_000_000 == quota  # cgroup_apply_cpu_quota() in systemd's core/cgroup.c


@given(st.sets(st.integers(0, 300)))
def test_a_mask_has_a_bit_for_each_cpu(numbers: set[int]) -> None:
    raw = to_bus("AllowedCPUs", mask(",".join(map(str, sorted(numbers)))))
    assert {8 * at + bit for at, byte in enumerate(raw) for bit in range(8) if byte >> bit & 1} == numbers
    assert from_bus("AllowedCPUs", raw + b"\0\0") == raw.hex()
