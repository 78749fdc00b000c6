"""From keys and texts to limits, and what a person reads when one is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from rctl.controllers import io
from rctl.errors import UsageError
from rctl.host import Host
from rctl.limits import BY_DEVICE, FILES, Limits, decode, default, keys, nest, writes
from rctl.ranges import Ranges
from rctl.units import MAX, Bytes, Size

MACHINE = {
    "/proc/meminfo": "MemTotal:        2048 kB\nMemFree:         1024 kB\n",
    "/sys/devices/system/cpu/online": "0-3\n",
    "/sys/devices/system/node/online": "0-1\n",
    "/sys/devices/system/node/node0/cpulist": "0-1\n",
    "/sys/devices/system/node/node1/cpulist": "2-5\n",
    "/proc/sys/kernel/random/boot_id": "b007\n",
}


def host(files: dict[str, str] = MACHINE) -> Host:
    """A host that has these files."""

    def read(path: str) -> str:
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    return Host(read)


class Half(Size):
    """A new kind of size."""


class Halves(msgspec.Struct, frozen=True):
    """Limits with it, and with bytes that are no part of the memory."""

    half: Half | msgspec.UnsetType = UNSET
    disk: Bytes | msgspec.UnsetType = UNSET


def test_per_cent_are_of_the_memory_for_what_is_declared_so() -> None:
    assert decode({"half": "50%"}, host(), Halves).half == Half(1 << 20)
    with pytest.raises(UsageError, match="a percentage has no meaning here"):
        decode({"disk": "50%"}, host(), Halves)


def refusal(data: Any) -> str:
    with pytest.raises(UsageError) as caught:
        decode(data, host())
    return str(caught.value)


# The host


def test_a_host_knows_its_memory_its_cpus_and_its_nodes() -> None:
    this = host()
    assert this.memory == 2 << 20
    assert this.cpus == (0, 1, 2, 3)
    assert this.boot_id == "b007"


def test_only_cpus_that_are_online_belong_to_a_node() -> None:
    assert host().nodes == {0: (0, 1), 1: (2, 3)}


def test_a_host_without_numa_is_one_node() -> None:
    assert host({"/sys/devices/system/cpu/online": "0,2\n"}).nodes == {0: (0, 2)}


def test_memory_that_is_not_told_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no MemTotal"):
        _ = host({"/proc/meminfo": ""}).memory


# Three states


def test_what_is_not_given_is_kept() -> None:
    limits = decode({"memory": {"max": "1G"}}, host())
    assert limits.memory.high is UNSET
    assert limits.cpu.max is UNSET
    assert [write.file.name for write in writes(limits, host())] == ["memory.max"]


def test_zero_is_a_value_and_max_is_no_limit() -> None:
    limits = decode({"memory": {"max": 0, "high": "max"}, "pids": {"max": 0}}, host())
    assert limits.memory.max.amount == 0
    assert limits.memory.high.amount is MAX
    assert limits.pids.max.amount == 0


def test_an_empty_list_is_a_value() -> None:
    assert decode({"cpuset": {"cpus": ""}}, host()).cpuset.cpus == Ranges(())


@pytest.mark.parametrize("key", ["memory.max", "cpu.max", "cpuset.cpus", "pids.max", "io.weight", "vcpus"])
def test_nothing_is_not_a_value(key: str) -> None:
    assert refusal(nest({key: None})).startswith(f"{key}: None is not a ")


def test_a_percentage_is_of_the_hosts_memory() -> None:
    for key in "max", "low", "min":
        assert getattr(decode({"memory": {key: "50%"}}, host()).memory, key).amount == 1 << 20


def test_the_hosts_memory_is_not_asked_for_without_a_percentage() -> None:
    assert decode({"memory": {"max": "1M"}, "cpu": {"max": "50%"}}, host({})).cpu.max.amount == 500000


# Errors name the key


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"memory": {"max": "abc"}}, "memory.max: 'abc' is not understood. Write it like 2G,"),
        (
            {"memory": {"swap": {"max": "-1"}}},
            "memory.swap.max: '-1' is not understood: no limit is called max. Write max",
        ),
        (
            {"memory": {"swap": {"max": "off"}}},
            "memory.swap.max: 'off' is not understood. Write 0 for nothing, max for no limit",
        ),
        (
            {"memory": {"zswap": {"max": "no"}}},
            "memory.zswap.max: 'no' is not understood. Write 0 for nothing, max for no limit",
        ),
        (
            {"memory": {"low": "none"}},
            "memory.low: 'none' is not understood: it protects, and is no limit. Write 0 for no protection",
        ),
        (
            {"memory": {"min": "off"}},
            "memory.min: 'off' is not understood: it protects, and is no limit. Write 0 for no protection",
        ),
        ({"memory": {"oom": {"group": 2}}}, "memory.oom.group: '2' is not a yes or no."),
        ({"memory": {"max": "200%"}}, "memory.max: '200%' is not understood: more than 100%."),
        ({"cpu": {"max": 0}}, "cpu.max: 0 is too low: at least 0.001, or max. Write it like 1.5,"),
        ({"cpu": {"period": "2s"}}, "cpu.period: 2s is out of range 1ms..1s."),
        ({"cpu": {"weight": 0}}, "cpu.weight: 0 is out of range 1..10000."),
        ({"cpu": {"weight": "max"}}, "cpu.weight: 'max' is not possible here."),
        ({"cpuset": {"cpus": "3-1"}}, "cpuset.cpus: '3-1' is not a list of numbers."),
        (
            {"cpuset": {"partition": "rooot"}},
            "cpuset.partition: 'rooot' is not possible. Write member or root or isolated",
        ),
        ({"pids": {"max": True}}, "pids.max: true is not a quantity."),
        ({"io": {"weight": 10001}}, "io.weight: 10001 is out of range 1..10000."),
        ({"io": {"max": {"vda": {"rbps": 1}}}}, "io.max.vda.rbps: 1 is too low: at least 2"),
        ({"io": {"max": {"a": {"rbps": 5}, "b.c": {"rbps": 1}}}}, "io.max.b.c.rbps: 1 is too low: at least 2"),
        ({"io": {"max": {"[...]": {"rbps": 1}}}}, "io.max.[...].rbps: 1 is too low: at least 2"),
        ({"memory": {"max": "[...] - at `$.x"}}, "memory.max: '[...] - at `$.x' is not understood."),
        ({"hugetlb": {"2MB": "x"}}, "hugetlb.2MB: 'x' is not understood."),
        (
            {"hugetlb": {"2MB": {"rsvd": "1G"}}},
            'hugetlb.2MB: is not a group of limits. Write hugetlb.2MB = "1G" or hugetlb."2MB.rsvd" = "1G"',
        ),
        (
            {"files": {"memory": {"max": "1G"}}},
            'files.memory: is not a group of limits. Write files."memory.max" = "1G"',
        ),
        ({"vcpus": 0}, "vcpus: 0 is too low: at least 1"),
        ({"memory": {"maximum": 1}}, "memory.maximum: there is no such limit. Did you mean memory.max?"),
        ({"mem": {}}, "mem: there is no such limit."),
        ({"memory": 5}, "memory: is a group of limits. Write memory.max"),
        ({"files": {"misc.max": None}}, "files.misc.max: must be a whole number or text, not nothing"),
        ([], "must be a table, not a list"),
    ],
)
def test_a_limit_that_is_wrong_is_named_by_its_key(data: Any, message: str) -> None:
    assert refusal(data).startswith(message)


def test_an_unknown_page_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"hugetlb: '2M' is not a page size"):
        writes(decode({"hugetlb": {"2M": 0}}, host()), host())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("memory.max", "abc", "files: memory.max: 'abc' is not understood"),
        ("cpu.max", "1", "files: cpu.max: 1us is too low: at least 1ms"),
        ("io.max", "vda rbps=5", "files: io.max: 'vda' is not MAJOR:MINOR"),
        ("../x", "1", "files: '../x' is not the name of an interface file"),
        ("cgroup.procs", 1, "files: cgroup.procs is not a limit"),
        ("hugetlb.2M.max", 1, "hugetlb: '2M' is not a page size"),
    ],
)
def test_a_verbatim_file_that_is_wrong_is_named(name: str, value: str | int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        writes(decode({"files": {name: value}}, host()), host())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        ({"memory": {"max": "1G"}}, {"memory.max": "2G"}),
        ({"cpu": {"weight": "idle"}}, {"cpu.idle": 0}),
        ({"io": {"max": {"8:0": {"rbps": 5}}}}, {"io.max": "8:0 wbps=5"}),
        ({"io": {"weight": 5}}, {"io.weight": "5"}),
        ({"hugetlb": {"2MB": 0}}, {"hugetlb.2MB.max": 0}),
    ],
)
def test_a_limit_and_its_file_together_are_refused(limits: dict[str, Any], files: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is asked for twice"):
        writes(decode({**limits, "files": files}, host()), host())


def test_a_limit_and_a_file_on_another_device_go_together() -> None:
    limits = decode({"io": {"max": {"8:0": {"rbps": 5}}}, "files": {"io.max": "8:16 rbps=5"}}, host())
    assert [write.key for write in writes(limits, host())] == ["8:0", "8:16"]


TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["memory", "cpu", "cpuset", "io", "pids", "files", "hugetlb", "max", "swap", "weight", "vda"]
            ),
            below,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


def answer(data: object) -> Limits | str:
    """The limits, or what a person reads instead."""
    try:
        limits: Limits = decode(data, host())
        writes(limits, host())
    except UsageError as error:
        return str(error)
    return limits


@given(TREES)
def test_any_data_is_limits_or_a_usage_error_with_a_reason(data: object) -> None:
    assert answer(data)


# Keys with dots


@pytest.mark.parametrize(
    ("pairs", "nested"),
    [
        ({}, {}),
        ({"vcpus": 2}, {"vcpus": 2}),
        ({"memory.max": "2G"}, {"memory": {"max": "2G"}}),
        (
            {"memory.max": "2G", "memory.swap.max": 0, "cpu.max": 1},
            {"memory": {"max": "2G", "swap": {"max": 0}}, "cpu": {"max": 1}},
        ),
        ({"files.memory.max": "1G"}, {"files": {"memory.max": "1G"}}),
        ({"hugetlb.2MB.max": 0}, {"hugetlb": {"2MB": 0}}),
        ({"hugetlb.2MB": 0}, {"hugetlb": {"2MB": 0}}),
        ({"hugetlb.2MB.rsvd": 0}, {"hugetlb": {"2MB.rsvd": 0}}),
        ({"hugetlb.2MB.rsvd.max": 0}, {"hugetlb": {"2MB.rsvd": 0}}),
        ({"io.max": "vda rbps=1M wiops=max"}, {"io": {"max": {"vda": {"rbps": "1M", "wiops": "max"}}}}),
        ({"io.max": "/srv/a.b rbps=1M"}, {"io": {"max": {"/srv/a.b": {"rbps": "1M"}}}}),
        ({"io.max": "vda rbps=5", "io.max.vda.wbps": 6}, {"io": {"max": {"vda": {"rbps": "5", "wbps": 6}}}}),
        ({"io.max.vda.wbps": 6, "io.max": "vda rbps=5"}, {"io": {"max": {"vda": {"wbps": 6, "rbps": "5"}}}}),
        ({"io.max": {"vda": {"rbps": 5}}}, {"io": {"max": {"vda": {"rbps": 5}}}}),
    ],
)
def test_keys_with_dots_become_nested(pairs: dict[str, Any], nested: dict[str, Any]) -> None:
    assert nest(pairs) == nested


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"io.max.vda.rbps": 5, "io.max": "vda rbps=6"}, "io.max: given twice"),
        ({"hugetlb.2MB": 5, "hugetlb.2MB.max": 6}, "hugetlb.2MB.max: given twice"),
        ({"cpuset": 5, "cpuset.cpus": 6}, "cpuset.cpus: given twice"),
        ({"memory.max": 6, "memory": 5}, "memory: given twice"),
        ({"io.max.vda": "x", "io.max": "vda rbps=6"}, "io.max: clashes with another limit"),
        ({"io.max": "vda rbps=5 rbps=6"}, "io.max: 'vda rbps=5 rbps=6' is not understood. Write it in quotes"),
        ({"io.max": "vda"}, "io.max: 'vda' is not understood"),
        ({"io.max": ""}, "io.max: '' is not understood"),
        ({"io.max": "vda rbps"}, "io.max: 'vda rbps' is not understood"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(pairs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        nest(pairs)
    assert str(caught.value).startswith(message)


@given(st.dictionaries(st.from_regex(r"(memory|cpu|io|files|hugetlb|max|vda|\.){1,5}", fullmatch=True), st.text()))
def test_any_keys_are_nested_or_a_usage_error(pairs: dict[str, str]) -> None:
    try:
        nested: object = nest(pairs)
    except UsageError as error:
        nested = str(error)
    assert nested or not pairs


@pytest.mark.parametrize(
    ("given", "key"),
    [("cpu.max.burst", "cpu.burst"), ("cpuset.cpus.partition", "cpuset.partition"), ("memory", "memory.max")],
)
def test_a_limit_goes_by_the_kernels_file_and_the_flags_name_too(given: str, key: str) -> None:
    assert nest({given: "1"}) == nest({key: "1"})


def test_one_limit_by_two_names_is_given_twice() -> None:
    with pytest.raises(UsageError, match="given twice"):
        nest({"memory": "1G", "memory.max": "2G"})


# The word "default"


@pytest.mark.parametrize("key", sorted(set(keys()) - {"files", "hugetlb", *BY_DEVICE}))
def test_default_is_what_a_new_cgroup_has(key: str) -> None:
    """Written over any other value, ``default`` gives the entry that ``File.default`` declares."""
    asked = decode(nest({key: "default"}), host())
    assert asked == decode(nest({key: default(key)}), host())
    for write in writes(msgspec.structs.replace(asked, vcpus=UNSET), host()):
        if write.file is not io.BFQ_WEIGHT:
            assert write.file.merge(write.file.default, write.wanted) == write.file.default


def test_default_of_a_disk_is_no_limit_at_all() -> None:
    whole = decode(nest({"io.max": "8:0 default"}), host())
    assert [write.wanted for write in writes(whole, host())] == ["rbps=max wbps=max riops=max wiops=max"]
    one = decode({"io": {"max": {"8:0": {"wbps": "default"}}}}, host())
    assert [write.wanted for write in writes(one, host())] == ["wbps=max"]


def test_default_of_a_file_that_is_known_and_of_one_that_is_not() -> None:
    assert decode({"files": {"memory.low": "default"}}, host()).files == {"memory.low": "0"}
    assert decode({"files": {"new.file": "default"}}, host()).files == {"new.file": "default"}


@pytest.mark.parametrize("key", ["2MB", "2MB.rsvd"])
def test_default_of_huge_pages_is_no_limit_by_name_and_verbatim(key: str) -> None:
    assert decode({"hugetlb": {key: "default"}}, host()).hugetlb == decode({"hugetlb": {key: "max"}}, host()).hugetlb
    assert decode({"files": {f"hugetlb.{key}.max": "default"}}, host()).files == {f"hugetlb.{key}.max": "max"}


def test_what_protects_is_declared_once() -> None:
    assert [file.name for file in FILES if file.protects] == ["memory.low", "memory.min"]
    assert all(file.default == "0" for file in FILES if file.protects)
