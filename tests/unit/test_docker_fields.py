"""docker's fields for the entries of interface files, and shares for weights."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.containers import cpu_shares
from rctl.containers.docker_fields import ENDLESS, entries, form, is_set, request, stored
from rctl.controllers import cpu, cpuset, memory, pids
from rctl.formats import File

M = 1 << 20
UNSET: dict[str, Any] = {
    "Memory": 0, "MemorySwap": 0, "MemoryReservation": 0, "NanoCpus": 0, "CpuQuota": 0, "CpuPeriod": 0, "CpuShares": 0,
    "CpusetCpus": "", "CpusetMems": "", "PidsLimit": None,
}  # fmt: skip


def fields(file: File, entry: str, **config: Any) -> Any:
    """The fields that set the entry of a container with this configuration."""
    return form(file, entry, stored(file, UNSET | config), 2)


@pytest.mark.parametrize(
    ("shares", "old", "new"), [(2000, 77, 170), (1024, 39, 100), (2, 1, 1), (262144, 10000, 10000)]
)
def test_known_conversions_of_shares(shares: int, old: int, new: int) -> None:
    assert (cpu_shares.linear(shares), cpu_shares.quadratic(shares)) == (old, new)


@given(st.integers(1, 10000))
def test_each_weight_has_shares_that_give_exactly_it(weight: int) -> None:
    old, new = cpu_shares.for_weight(weight)
    assert (cpu_shares.linear(old), cpu_shares.quadratic(new)) == (weight, weight)


@pytest.mark.parametrize(
    ("file", "config", "entry"),
    [
        (memory.MAX, {}, "max"),
        (memory.MAX, {"Memory": ENDLESS}, "max"),
        (memory.MAX, {"Memory": 10 * M + 1}, str(10 * M)),
        (memory.SWAP_MAX, {}, "max"),
        (memory.SWAP_MAX, {"Memory": M, "MemorySwap": -1}, "max"),
        (memory.SWAP_MAX, {"Memory": 10 * M, "MemorySwap": 10 * M}, "0"),
        (memory.SWAP_MAX, {"Memory": 10 * M, "MemorySwap": 15 * M}, str(5 * M)),
        (memory.LOW, {}, "0"),
        (cpu.MAX, {}, "max 100000"),
        (cpu.MAX, {"NanoCpus": 500_000_000}, "50000 100000"),
        (cpu.MAX, {"NanoCpus": 500_000_000, "CpuQuota": -1}, "max 100000"),
        (cpu.MAX, {"CpuQuota": 20000, "CpuPeriod": 50000}, "20000 50000"),
        (cpu.WEIGHT, {}, "100"),
        (cpuset.CPUS, {"CpusetCpus": "0,1,2"}, "0-2"),
        (pids.MAX, {"PidsLimit": -1}, "max"),
        (pids.MAX, {"PidsLimit": 0}, "max"),
        (pids.MAX, {"PidsLimit": 9}, "9"),
    ],
)
def test_the_entry_of_stored_fields(file: File, config: dict[str, Any], entry: str) -> None:
    assert entries(file, stored(file, UNSET | config)) == (entry,)


def test_no_entry_follows_from_unset_pids_which_systemd_limits() -> None:
    assert entries(pids.MAX, stored(pids.MAX, UNSET)) == ()


def test_fields_that_set_an_entry() -> None:
    assert fields(memory.MAX, str(100 * M)) == {"Memory": 100 * M}
    assert fields(memory.MAX, "max", Memory=100 * M) == {"Memory": ENDLESS}
    assert fields(memory.SWAP_MAX, "max", Memory=M, MemorySwap=2 * M) == {"Swap": -1}
    assert fields(cpu.MAX, "50000 100000") == {"NanoCpus": 0, "CpuQuota": 50000, "CpuPeriod": 0}
    assert fields(cpu.MAX, "50000 50000") == {"NanoCpus": 0, "CpuQuota": 50000, "CpuPeriod": 50000}
    assert fields(cpu.MAX, "max 100000", CpuQuota=50000)["CpuQuota"] == -1
    assert fields(cpu.MAX, "150000 100000", NanoCpus=10**9)["NanoCpus"] == 1_500_000_000
    assert fields(cpu.WEIGHT, "77")["CpuShares"] == cpu_shares.for_weight(77)[0]
    assert fields(pids.MAX, "max") == {"PidsLimit": -1}


def test_fields_that_mean_the_same_stay() -> None:
    assert fields(memory.MAX, "max") == {"Memory": 0}
    assert fields(cpu.WEIGHT, "170", CpuShares=2000) == {"CpuShares": 2000}
    assert fields(cpuset.CPUS, "0-1", CpusetCpus="0,1") == {"CpusetCpus": "0,1"}


@pytest.mark.parametrize(
    ("file", "entry", "config"),
    [
        (memory.MAX, str(4 * M), {}),
        (memory.LOW, str(20 * M), {}),  # a reservation cannot be taken back
        (memory.LOW, "0", {"MemoryReservation": 20 * M}),
        (cpu.MAX, "max 100000", {"NanoCpus": 10**9}),
        (cpu.MAX, "50000 50000", {"NanoCpus": 10**9}),
        (cpu.MAX, "300000 100000", {"NanoCpus": 10**9}),  # more than the host has
        (cpu.WEIGHT, "0", {}),
        (pids.MAX, "0", {}),  # docker takes it as no limit
    ],
)
def test_what_docker_cannot_hold_or_not_take_back(file: File, entry: str, config: dict[str, Any]) -> None:
    assert fields(file, entry, **config) is None


def test_an_update_sends_memory_together_with_swap() -> None:
    config = UNSET | {"Memory": 100 * M, "MemorySwap": 150 * M}
    assert request({memory.MAX: {"Memory": 300 * M}}, config, 50 * M) == {"Memory": 300 * M, "MemorySwap": 350 * M}
    assert request({memory.MAX: {"Memory": 300 * M}}, config, 0) == {"Memory": 300 * M, "MemorySwap": 300 * M}
    assert request({memory.SWAP_MAX: {"Swap": 0}}, config, 50 * M) == {"Memory": 100 * M, "MemorySwap": 100 * M}
    assert request({memory.SWAP_MAX: {"Swap": -1}}, config, 50 * M) == {"Memory": 100 * M, "MemorySwap": -1}
    assert request({memory.MAX: {"Memory": ENDLESS}}, config, -1) == {"Memory": ENDLESS, "MemorySwap": -1}


def test_an_update_sends_only_what_is_set() -> None:
    own: dict[File, Any] = {cpu.MAX: {"NanoCpus": 0, "CpuQuota": -1, "CpuPeriod": 0}, pids.MAX: {"PidsLimit": 0}}
    assert request(own, UNSET, -1) == {"CpuQuota": -1, "PidsLimit": 0}


def test_no_swap_differs_from_an_unset_limit_of_swap() -> None:
    assert is_set(stored(memory.SWAP_MAX, UNSET | {"Memory": M, "MemorySwap": M}))
    assert not is_set(stored(memory.SWAP_MAX, UNSET))


@pytest.mark.parametrize("config", [{"Memory": "1"}, {"CpusetCpus": 3}, {"PidsLimit": [1]}])
def test_a_value_of_a_wrong_type_is_named(config: dict[str, Any]) -> None:
    [name] = config
    file = {"Memory": memory.MAX, "CpusetCpus": cpuset.CPUS, "PidsLimit": pids.MAX}[name]
    with pytest.raises(ValueError, match=name):
        stored(file, UNSET | config)
