"""podman's fields for the entries of interface files, and the updates that set them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.containers import cpu_shares
from rctl.containers.podman_fields import entries, form, known, request, stored
from rctl.controllers import cpu, cpuset, io, memory, pids
from rctl.formats import File

M = 1 << 20
UNSET: dict[str, Any] = {
    "Memory": 0, "MemorySwap": 0, "MemoryReservation": 0, "NanoCpus": 0, "CpuQuota": 0, "CpuPeriod": 0, "CpuShares": 0,
    "CpusetCpus": "", "CpusetMems": "", "PidsLimit": 2048,
}  # fmt: skip


def fields(file: File, entry: str, **config: Any) -> Any:
    """The fields that set the entry of a container with this configuration."""
    return form(file, entry, stored(file, UNSET | config))


@pytest.mark.parametrize(
    ("file", "config", "entry"),
    [
        (memory.MAX, {}, "max"),
        (memory.MAX, {"Memory": -1}, "max"),
        (memory.MAX, {"Memory": 10 * M + 1}, str(10 * M)),
        (memory.MAX, {"Memory": 10 * M, "CgroupConf": {"memory.max": "5242881"}}, str(5 * M)),
        (memory.SWAP_MAX, {"Memory": 10 * M, "MemorySwap": 15 * M}, str(5 * M)),
        (memory.SWAP_MAX, {"Memory": 10 * M, "MemorySwap": -1}, "max"),
        (memory.LOW, {"MemoryReservation": 5 * M}, str(5 * M)),
        (memory.HIGH, {}, "max"),
        (memory.HIGH, {"CgroupConf": None}, "max"),
        (memory.HIGH, {"CgroupConf": {"memory.high": "5M"}}, str(5 * M)),
        (memory.OOM_GROUP, {}, "0"),
        (cpu.MAX, {"CpuQuota": 20000, "CpuPeriod": 50000, "NanoCpus": 400000000}, "20000 50000"),
        (cpu.MAX, {"CpuQuota": -1, "CpuPeriod": 100000, "NanoCpus": -10000}, "max 100000"),
        (pids.MAX, {"PidsLimit": 0}, "max"),
    ],
)
def test_the_entry_of_stored_fields(file: File, config: dict[str, Any], entry: str) -> None:
    assert entries(file, stored(file, UNSET | config)) == (entry,)


def test_fields_that_set_an_entry() -> None:
    assert fields(memory.MAX, str(100 * M)) == {"Memory": 100 * M}
    assert fields(memory.MAX, "max", Memory=100 * M) == {"Memory": 0}
    assert fields(memory.MAX, str(9 * M), CgroupConf={"memory.max": "max"}) == {
        "Memory": 9 * M,
        "memory.max": str(9 * M),
    }
    assert fields(memory.HIGH, str(9 * M)) == {"memory.high": str(9 * M)}
    assert fields(memory.LOW, str(9 * M)) == {"MemoryReservation": 9 * M, "memory.low": str(9 * M)}
    assert fields(cpu.MAX, "50000 100000") == {"CpuQuota": 50000, "CpuPeriod": 100000}
    assert fields(cpu.MAX, "max 100000", CpuQuota=50000) == {"CpuQuota": 0, "CpuPeriod": 0}
    assert fields(cpu.WEIGHT, "77") == {"CpuShares": cpu_shares.for_weight(77)[0]}
    assert fields(cpu.WEIGHT, "100", CpuShares=7) == {"CpuShares": 0}
    assert fields(pids.MAX, "max") == {"PidsLimit": -1}


def test_a_quota_of_minus_one_is_replaced_although_it_means_no_limit() -> None:
    assert fields(cpu.MAX, "max 100000", CpuQuota=-1, CpuPeriod=100000)["CpuQuota"] == 0


def test_fields_that_mean_the_same_stay() -> None:
    assert fields(memory.MAX, "max", Memory=-1) == {"Memory": 0}
    assert fields(cpu.WEIGHT, "170", CpuShares=2000) == {"CpuShares": 2000}
    assert fields(memory.HIGH, "max") == {"memory.high": None}


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        (memory.MAX, str(4 * M)),  # too little to start
        (memory.MAX, "0"),
        (memory.LOW, "max"),
        (cpu.MAX, "max 50000"),
        (cpu.WEIGHT, "0"),
        (pids.MAX, "0"),
    ],
)
def test_what_podman_cannot_hold(file: File, entry: str) -> None:
    assert fields(file, entry, Memory=100 * M, CpusetCpus="0") is None


def test_an_empty_list_is_left_to_the_plan() -> None:
    assert fields(cpuset.CPUS, "", CpusetCpus="0") == {"CpusetCpus": "0"}


def test_limits_that_another_one_can_make_invalid_are_not_stored() -> None:
    assert not any(map(known, (cpu.BURST, cpu.IDLE, io.MAX)))


def test_an_update_sends_memory_together_with_swap() -> None:
    config = UNSET | {"Memory": 100 * M, "MemorySwap": 150 * M}
    assert request({memory.MAX: {"Memory": 300 * M}}, config, 50 * M) == {"memory": {"limit": 300 * M, "swap": 350 * M}}
    assert request({memory.SWAP_MAX: {"Swap": 0}}, config, 50 * M) == {"memory": {"limit": 100 * M, "swap": 100 * M}}
    assert request({memory.SWAP_MAX: {"Swap": None}}, config, 50 * M) == {"memory": {"limit": 100 * M, "swap": -1}}
    assert request({memory.MAX: {"Memory": 0}}, config, 50 * M) == {"memory": {"limit": -1, "swap": -1}}


def test_an_update_asks_for_no_limit_where_podman_can_unset_a_field() -> None:
    own: dict[File, Any] = {
        cpu.MAX: {"CpuQuota": -1, "CpuPeriod": 0}, cpu.WEIGHT: {"CpuShares": 0}, cpuset.CPUS: {"CpusetCpus": ""},
        pids.MAX: {"PidsLimit": 0}, memory.HIGH: {"memory.high": None}, memory.MIN: {"memory.min": "0"},
    }  # fmt: skip
    assert request(own, UNSET, -1) == {
        "cpu": {"quota": 0, "period": 0, "shares": 0}, "pids": {"limit": -1}, "unified": {"memory.min": "0"},
    }  # fmt: skip


@given(st.integers(6 * M, 1 << 50), st.integers(0, 1 << 50))
def test_what_an_update_sets_is_what_the_container_starts_with(limit: int, swap: int) -> None:
    limit, swap = limit // 4096 * 4096, swap // 4096 * 4096
    own = {
        file: form(file, str(value), stored(file, UNSET))
        for file, value in ((memory.MAX, limit), (memory.SWAP_MAX, swap))
    }
    body = request({file: fields for file, fields in own.items() if fields is not None}, UNSET, -1)
    config = UNSET | {"Memory": body["memory"]["limit"], "MemorySwap": body["memory"]["swap"]}
    assert entries(memory.MAX, stored(memory.MAX, config)) == (str(limit),)
    assert entries(memory.SWAP_MAX, stored(memory.SWAP_MAX, config)) == (str(swap),)


@pytest.mark.parametrize("config", [{"Memory": "1"}, {"CgroupConf": [1]}, {"CgroupConf": {"memory.max": 1}}])
def test_a_value_of_a_wrong_type_is_named(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Memory|CgroupConf|memory\.max"):
        stored(memory.MAX, UNSET | config)
