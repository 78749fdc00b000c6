"""The values of a ramp: they go one way, stay between the ends, and end exactly at the goal."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.controllers import core, cpu, cpuset, hugetlb, io, memory, pids
from rctl.controllers.cpu import cpus_of
from rctl.errors import UsageError
from rctl.formats import File
from rctl.host import Host
from rctl.over_time.spans import Span, use_file, values

PAGE = 4096
GIB = 1 << 30
FACTS: Mapping[str, str] = {
    "/proc/meminfo": "MemTotal: 8388608 kB\n",
    "/proc/swaps": "Filename Type Size Used Priority\n/dev/vda2 partition 1048576 0 -2\n",
    "/sys/devices/system/cpu/online": "0-3\n",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "8\n",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages": "0\n",
}
HOST = Host(FACTS.__getitem__, PAGE)
STEPS = st.integers(2, 200)
PAGES = st.integers(0, 1 << 40).map(lambda pages: str(pages * PAGE))


def check(found: list[float], old: float, new: float, steps: int) -> None:
    assert len(found) == steps
    assert found in (sorted(found), sorted(found, reverse=True)), "it goes one way"
    assert all(min(old, new) <= value <= max(old, new) for value in found)
    assert found[-1] == new


@given(PAGES, PAGES, STEPS)
def test_sizes_are_whole_pages_and_end_at_the_goal(old: str, new: str, steps: int) -> None:
    found = [int(value) for value in values(Span(memory.MAX, "", old, new), steps, HOST)]
    check([*map(float, found)], float(old), float(new), steps)
    assert all(value % PAGE == 0 for value in found)


@given(st.integers(1, 10000), st.integers(1, 10000), STEPS)
def test_weights_and_counts_are_whole_numbers(old: int, new: int, steps: int) -> None:
    for file, key in ((cpu.WEIGHT, ""), (io.WEIGHT, "default"), (pids.MAX, ""), (cpu.BURST, "")):
        check([float(v) for v in values(Span(file, key, str(old), str(new)), steps, HOST)], old, new, steps)


@given(st.integers(1000, 10**7), st.integers(1000, 10**6), st.integers(1000, 10**7), st.integers(1000, 10**6), STEPS)
def test_cpu_time_goes_from_cpus_to_cpus_in_the_period_of_the_goal(
    quota: int, period: int, new_quota: int, new_period: int, steps: int
) -> None:
    old, new = f"{quota} {period}", f"{new_quota} {new_period}"
    found = values(Span(cpu.MAX, "", old, new), steps, HOST)
    assert found[-1] == new
    assert {value.split()[1] for value in found} == {str(new_period)}
    cpus = [cpus_of(value) or 0.0 for value in found]
    assert cpus in (sorted(cpus), sorted(cpus, reverse=True))
    slack = 1000 / new_period  # the least quota, and rounding to microseconds
    ends = (quota / period, new_quota / new_period)
    assert all(min(ends) - 1e-9 - 1 / new_period <= value <= max(*ends, slack) + 1 / new_period for value in cpus)
    assert all(int(value.split()[0]) >= 1000 for value in found)


def test_rates_of_a_disk_move_each_by_itself() -> None:
    old, new = "rbps=1000 wbps=500 riops=max wiops=8", "rbps=2000 wbps=100 riops=max wiops=8"
    assert values(Span(io.MAX, "8:0", old, new), 4, HOST) == [
        "rbps=1250 wbps=400 riops=max wiops=8",
        "rbps=1500 wbps=300 riops=max wiops=8",
        "rbps=1750 wbps=200 riops=max wiops=8",
        new,
    ]


def test_a_latency_moves_too() -> None:
    assert values(Span(io.LATENCY, "8:0", "target=1000", "target=2000"), 2, HOST) == ["target=1500", "target=2000"]


@pytest.mark.parametrize(
    ("file", "new", "use", "found"),
    [
        (memory.MAX, str(GIB), 3 * GIB, [2 * GIB, GIB]),
        (memory.MAX, str(GIB), GIB // 2, [GIB, GIB]),
        (memory.HIGH, str(GIB), 2 * GIB, [GIB + GIB // 2, GIB]),
        (memory.SWAP_MAX, "0", GIB, [GIB // 2, 0]),
        (pids.MAX, "10", 30, [20, 10]),
        (hugetlb.file("2MB"), str(2 << 20), 6 << 20, [4 << 20, 2 << 20]),
    ],
)
def test_down_from_max_begins_at_the_use(file: File, new: str, use: int, found: list[int]) -> None:
    assert values(Span(file, "", "max", new, use), 2, HOST) == [str(value) for value in found]


@pytest.mark.parametrize(
    ("file", "old", "middle"),
    [
        (memory.MAX, 4 * GIB, 6 * GIB),
        (memory.MAX, 16 * GIB, 16 * GIB),
        (memory.SWAP_MAX, 0, GIB // 2),
        (hugetlb.file("2MB"), 8 << 20, 12 << 20),
    ],
)
def test_up_to_max_goes_to_what_the_host_has_and_ends_with_max(file: File, old: int, middle: int) -> None:
    assert values(Span(file, "", str(old), "max"), 2, HOST) == [str(middle), "max"]


def test_down_from_max_without_a_count_of_the_use_begins_at_what_the_host_has() -> None:
    assert values(Span(memory.MAX, "", "max", str(2 * GIB)), 2, HOST) == [str(5 * GIB), str(2 * GIB)]


def test_cpu_time_without_a_limit_is_all_cpus() -> None:
    assert values(Span(cpu.MAX, "", "max 100000", "200000 100000"), 2, HOST) == ["300000 100000", "200000 100000"]
    assert values(Span(cpu.MAX, "", "200000 100000", "max 100000"), 2, HOST) == ["300000 100000", "max 100000"]


@pytest.mark.parametrize(
    ("file", "key", "old", "new"),
    [
        (pids.MAX, "", "10", "max"),
        (io.MAX, "8:0", "rbps=max wbps=max riops=max wiops=max", "rbps=5 wbps=max riops=max wiops=max"),
        (io.MAX, "8:0", "rbps=5 wbps=max riops=max wiops=max", "rbps=max wbps=max riops=max wiops=max"),
        (pids.MAX, "", "max", "10"),
    ],
)
def test_max_without_a_number_is_refused(file: File, key: str, old: str, new: str) -> None:
    with pytest.raises(UsageError, match=r"max is no number that this host knows, .* Name a number instead$"):
        values(Span(file, key, old, new), 3, HOST)


@pytest.mark.parametrize(
    "file",
    [cpuset.CPUS, cpuset.MEMS, cpuset.PARTITION, core.FREEZE, memory.OOM_GROUP, cpu.IDLE, memory.ZSWAP_WRITEBACK],
)
def test_what_has_no_values_in_between_is_refused(file: File) -> None:
    with pytest.raises(UsageError, match=f"^{file.name}: has no values in between, so it cannot be ramped"):
        values(Span(file, "", "0", "1"), 3, HOST)


def test_a_weight_of_a_disk_that_has_none_of_its_own_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^io.weight: is default now, which is no number"):
        values(Span(io.WEIGHT, "8:0", "default", "200"), 3, HOST)


def test_the_use_of_a_limit_is_counted_where_the_kernel_counts_it() -> None:
    assert use_file(memory.MAX) == use_file(memory.HIGH) == "memory.current"
    assert use_file(memory.SWAP_MAX) == "memory.swap.current"
    assert use_file(pids.MAX) == "pids.current"
    assert use_file(hugetlb.file("2MB")) == "hugetlb.2MB.current"
    assert [use_file(file) for file in (io.MAX, cpu.MAX, hugetlb.file("2MB.rsvd"), memory.LOW)] == [""] * 4
