"""A limit is declared once: it then reaches all that sets, reads, shows, completes and describes limits.

The proof is a copy of rctl, in which a limit more and a limit by device more are declared as ARCHITECTURE.md says:
in the controller's file, and as an attribute in ``attributes``. Nothing else is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rctl.formats import PerDevice
from rctl.host import Host
from rctl.limit_reference import KnownLimit, limits
from rctl.limits import BY_DEVICE, decode, file_of, keys, nest, writes

TOP = Path(__file__).parents[2]
CAP = """
CAP = File(
    "memory.cap", "memory", unit="bytes", since="9.1", without="nothing is capped", systemd=("MemoryCap=",),
    about="A cap on memory.",
    metrics=(LimitMetric("memory_cap_bytes", "The cap."),),
)
"""
DEPTH = """
class DeviceDepth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reads: Ops | UnsetType = UNSET
    writes: Ops | UnsetType = UNSET


DEPTH = PerDevice(
    "io.depth", "io", since="9.2", without="no depth can be set",
    about="A depth for each disk.", values=DeviceDepth, example="reads=10", what="depth",
    metrics=(LimitMetric("io_depth_reads", "The depth.", value="reads"),),
)
"""
DECLARED = (
    ("rctl/controllers/memory.py", "FILES = (", f"{CAP}FILES = (CAP, "),
    ("rctl/controllers/memory.py", "low: Protected", "cap: Size | UnsetType = UNSET\n    low: Protected"),
    ("rctl/controllers/memory.py", "(LOW, limits.low)", "(CAP, limits.cap),\n        (LOW, limits.low)"),
    ("rctl/attributes.py", 'low = AmountFile("', 'cap = AmountFile("memory.cap")\n    low = AmountFile("'),
    ("rctl/controllers/io.py", "BY_DEVICE = (", f"{DEPTH}BY_DEVICE = (DEPTH, "),
    ("rctl/controllers/io.py", "latency: dict[", "depth: dict[str, DeviceDepth] = {}\n    latency: dict["),
    ("rctl/attributes.py", "latency = Nested", 'depth = NestedKeyedFile("io.depth")\n    latency = Nested'),
)
"""What is declared: the file, a text in it, and the text that takes its place."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What new_limits.py tells in a copy with both limits."""
    copy = tmp_path_factory.mktemp("rctl")
    leave = shutil.ignore_patterns("__pycache__", "made")
    for folder in ("rctl", "exporters", "docs/generate", "tests/unit"):
        shutil.copytree(TOP / folder, copy / folder, ignore=leave)
    for place, old, new in DECLARED:
        source = (copy / place).read_text()
        assert source.count(old) == 1, (place, old)
        (copy / place).write_text(source.replace(old, new))
    run = subprocess.run(
        [sys.executable, "-m", "tests.unit.new_limits"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": f"{copy}:{copy}/exporters"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_it_is_set_read_back_reset_and_undone(told: Any) -> None:
    assert told["set"] == ["67108864", "8:0 reads=5 writes=max"]
    assert told["get"] == {"memory.cap": ["67108864"], "io.depth": ["8:0 reads=5"]}
    assert told["reset"] == told["undone"] == ["max", ""]


def test_it_is_an_attribute(told: Any) -> None:
    assert told["attributes"] == [67108864, {"8:0": {"reads": "5", "writes": "max"}}]
    assert told["attribute"] == "33554432"


def test_it_is_in_each_sample_and_what_binds_is_told(told: Any) -> None:
    assert told["sample"] == [67108864, 5]
    assert told["effective"] == 67108864


def test_it_is_exported_as_a_spec(told: Any) -> None:
    assert 'memory.cap = "32M"' in told["export"]
    assert "io.depth" in told["export"]


def test_it_is_in_the_schema(told: Any) -> None:
    memory, disks = told["schema"]
    assert "cap" in memory
    assert "depth" in disks


def test_doctor_tells_where_a_kernel_lacks_it(told: Any) -> None:
    assert told["doctor"]["file memory.cap"] == "missing: nothing is capped"
    assert told["doctor"]["file io.depth"] == "missing: no depth can be set"
    assert told["doctor sees"] == [True, True]


def test_it_is_a_metric(told: Any) -> None:
    assert told["metrics"] == {"memory_cap_bytes": "+Inf", "io_depth_reads 8:0": "5"}
    assert sorted(told["families"]) == ["io_depth_reads", "memory_cap_bytes"]
    assert "`rctl_ve_memory_cap_bytes`" in told["metrics page"]


def test_it_is_completed_and_helped_with(told: Any) -> None:
    for name, found in zip(("memory.cap", "io.depth"), told["complete"], strict=True):
        assert f"{name}=\t+\t" in found.splitlines()
    scalar, disks = told["help"]
    assert "A cap on memory." in scalar
    assert "since Linux 9.1. Unit: bytes. Default: max" in scalar
    assert "DISK reads=10" in disks
    assert "since Linux 9.2. Unit: operations/s. Default: " in disks
    assert "memory.cap" in told["flags"]


def test_it_is_in_the_documents(told: Any) -> None:
    assert "`memory.cap`" in told["reference"]
    assert told["map"]["memory.cap"] == [["memory.cap"], ["memory.cap"], ["rctl_ve_memory_cap_bytes"], "`MemoryCap=`"]
    assert told["map"]["io.depth"] == [["io.depth"], ["io.depth"], ["rctl_ve_io_depth_reads"], ""]


WITH_UNIT = [one for one in limits() if one.file and (one.file.unit or isinstance(one.file, PerDevice))]


@pytest.mark.parametrize("file", BY_DEVICE.values(), ids=list(BY_DEVICE))
def test_no_limit_by_device_takes_per_cent(file: PerDevice) -> None:
    """They would be of the host's memory, whatever the device."""
    assert not [name for name, kind in file.kinds.items() if kind.percent]


@pytest.mark.parametrize("limit", WITH_UNIT, ids=lambda limit: limit.key)
def test_a_limit_with_a_unit_is_not_said_to_be_text(limit: KnownLimit) -> None:
    assert limit.unit != "text"


@pytest.mark.parametrize("key", [key for key in keys() if key not in ("files", "hugetlb", "vcpus", "cpu.period")])
def test_each_limit_that_can_be_given_is_written_to_its_file(key: str) -> None:
    """A field of a controller's struct that ``writes()`` leaves out would be taken, and set nothing."""
    host = Host({"/proc/meminfo": "MemTotal: 4194304 kB\n"}.__getitem__)
    given = f"8:0 {BY_DEVICE[key].example}" if key in BY_DEVICE else "root" if key == "cpuset.partition" else "1"
    given = "1M" if key.startswith("memory.") and key.rpartition(".")[2] in ("max", "high", "low", "min") else given
    found = writes(decode(nest({key: given}), host), host)
    assert file_of(key) in [write.file.name for write in found]
