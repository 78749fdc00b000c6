"""The way back from files to words: set again, they make the same files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl import assignments
from rctl.errors import UsageError
from rctl.limits import decode, nest, writes
from tests.unit.fake_files import DEFAULTS
from tests.unit.fake_kernel import FakeKernel

HOST = FakeKernel().host
NEW = {name: text for files in DEFAULTS.values() for name, text in files.items() if name != "cgroup.subtree_control"}
NEW = {name: text for name, text in NEW.items() if name != "cpu.weight.nice"}


def again(found: list[assignments.Word]) -> dict[tuple[str, str], str]:
    """The entries that these words make on a new cgroup."""
    made: dict[tuple[str, str], str] = {}
    for write in writes(decode(nest(dict(found)), HOST), HOST):
        made[write.file.name, write.key] = write.file.merge(write.file.entry(None, write.key), write.wanted)
    return made


def test_a_new_cgroup_has_nothing_to_say() -> None:
    assert assignments.changed(NEW) == []


def test_all_keys_have_a_default_that_set_takes() -> None:
    for key, value in assignments.defaults().items():
        assert writes(decode(nest({key: value}), HOST), HOST), key


CASES: list[tuple[dict[str, str], list[assignments.Word]]] = [
    ({"memory.max": "1073741824"}, [("memory.max", "1073741824")]),
    ({"memory.low": "max"}, [("memory.low", "max")]),
    ({"cpu.max": "25000 100000"}, [("cpu.max", "0.25")]),
    ({"cpu.max": "max 50000"}, [("cpu.period", "50000")]),
    ({"cpu.max.burst": "2000"}, [("cpu.burst", "2000")]),
    ({"cpu.weight": "0", "cpu.idle": "1"}, [("cpu.weight", "idle")]),
    ({"cpuset.cpus.partition": "root invalid (cpu list empty)"}, [("cpuset.partition", "root")]),
    ({"io.max": "8:0 rbps=5 wbps=max riops=max wiops=7\n"}, [("io.max", "8:0 rbps=5 wiops=7")]),
    (
        {"io.latency": "8:0 target=5\n8:16 target=10000\n"},
        [("io.latency", "8:0 target=5"), ("io.latency", "8:16 target=10000")],
    ),
    ({"io.weight": "default 50\n8:0 70"}, [("io.weight", "50"), ("files.io.weight", "8:0 70")]),
    ({"io.weight": "default 200", "io.bfq.weight": "default 109"}, [("io.weight", "200")]),
    ({"io.weight": "default 200", "io.bfq.weight": "90"}, [("files.io.weight", "200"), ("files.io.bfq.weight", "90")]),
    ({"hugetlb.2MB.max": "4194304"}, [("hugetlb.2MB", "4194304")]),
    ({"hugetlb.2MB.rsvd.max": "4194304"}, [("hugetlb.2MB.rsvd", "4194304")]),
    ({"cgroup.pressure": "0"}, [("files.cgroup.pressure", "0")]),
    ({"cgroup.freeze": "1"}, []),
]


@pytest.mark.parametrize(("files", "expected"), CASES, ids=repr)
def test_files_as_words(files: dict[str, str], expected: list[assignments.Word]) -> None:
    assert assignments.changed(NEW | files) == expected


@given(st.integers(1000, 10**9), st.integers(1000, 10**6))
def test_cpu_max_as_a_number_of_cpus_gives_the_same_quota_again(quota: int, period: int) -> None:
    made = again(assignments.words({"cpu.max": f"{quota} {period}"}))
    assert made["cpu.max", ""] == f"{quota} {period}"


@given(st.integers(0, 1 << 50).map(lambda pages: str(pages * 4096)))
def test_a_size_with_its_unit_is_the_same_size(text: str) -> None:
    (write,) = writes(decode(nest({"memory.low": assignments.size(text)}), HOST), HOST)
    assert write.wanted == text


@pytest.mark.parametrize(
    ("key", "value"),
    [("memory.max", ["max"]), ("cpu.max", ["0.5"]), ("io.max", []), ("hugetlb.1GB", ["max"]), ("pids.max", ["7"])],
)
def test_get_one_key(key: str, value: Any) -> None:
    assert assignments.get({"cpu.max": "50000 100000", "pids.max": "7"}, key) == value


def test_get_tells_the_kernels_weight_also_where_bfqs_does_not_follow() -> None:
    assert assignments.get({"io.weight": "default 200", "io.bfq.weight": "100"}, "io.weight") == ["200"]


@pytest.mark.parametrize("key", ["frob", "memory", "vcpus", "files.x", "hugetlb.3XB"])
def test_get_of_what_is_no_key(key: str) -> None:
    with pytest.raises((UsageError, ValueError)):
        assignments.get({}, key)
