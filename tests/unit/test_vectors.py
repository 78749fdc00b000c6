"""What real kernels and other systems answered, against what rctl would write.

What the kernel refuses, rctl refuses before it asks; what the kernel rounds, rctl rounds in the same way, so that what
it verifies is what it wrote. Every group of vectors is run here, run on a kernel, or listed below with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from rctl.cgroupfs.tree import check_path
from rctl.controllers import io
from rctl.errors import UsageError
from rctl.formats import pressure
from rctl.host import Host
from rctl.limits import decode, nest, writes
from rctl.ranges import Ranges
from rctl.units import Rate, Size, amount
from tests import vectors
from tests.kernel import test_vectors as on_kernel
from tests.vectors import Vector

DEVICE = "8:0"


def no_file(path: str) -> str:
    raise FileNotFoundError(path)


HOST = Host(no_file)


def held(data: Mapping[str, Any], before: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the files hold after these limits (keys with dots), as the kernel prints them: one line of each.

    ``before``: what they hold now; files that are not there are new.
    """
    after: dict[str, str] = {}
    for write in writes(decode(nest(data), HOST), HOST):
        name = write.file.name
        entry = write.file.merge(write.file.entry((before or {}).get(name), write.key), write.wanted)
        after[name] = f"{write.key} {entry}" if write.key else entry
    return after


def concrete(text: str) -> str:
    """A device's number in place of the names that the vectors give it."""
    return re.sub(r"^(W|DEV|MAJ:MIN)\b", DEVICE, text, flags=re.MULTILINE)


# The kernel's own answers

NAMED = {
    f"kernel.write:{name}": name
    for name in (
        *(f"memory.{key}" for key in ("max", "high", "low", "min", "swap.max", "swap.high", "zswap.max", "oom.group")),
        *("cpu.max", "cpu.weight", "cpu.idle", "cpu.max.burst", "pids.max", "cpuset.cpus", "cpuset.mems"),
        *("io.max", "io.weight", "io.bfq.weight", "cgroup.freeze", "cgroup.pressure"),
    )
}
"""Files that rctl knows by name, by group."""

ASKS_THE_MACHINE = {
    "kernel.write:cpuset.cpus-014": "tasks are running in it",
    "kernel.write:cpuset.mems-002": "the machine has no such node",
    "kernel.write:cpuset.mems-004": "tasks are running in it",
    "kernel.write:io.max-024": "the number is a partition's; names are resolved to disks (test_devices)",
    "kernel.write:io.weight-007": "no cost model is switched on for the disk",
}
"""Refused for what the machine is or does, not for the value: run on a kernel only."""

STRICTER = {
    "kernel.write:memory.max-003": "1, less than one page: the kernel makes it 0",
    "kernel.write:memory.max-004": "4095, less than one page",
    "kernel.write:memory.max-011": "2K, less than one page",
    "kernel.write:memory.max-024": "hexadecimal",
    "kernel.write:cpu.max-018": "a third number, which the kernel ignores",
    "kernel.write:cpu.max-020": "a period that is no number, which the kernel ignores",
    "kernel.write:cpuset.cpus-012": "the word all: 5.10 and others refuse it",
    "systemd.parse_size(1024)-008": "two sizes in one",
    "systemd.parse_size(1024)-010": "two sizes in one",
}
"""Taken by others, refused by rctl, because a person who writes it most likely means something else."""

BEFORE = {
    "kernel.write:io.max-022": f"{DEVICE} rbps=1048576 wbps=max riops=max wiops=max",
}

TYPED = {
    group: name
    for group, name in NAMED.items()
    if name not in ("cpu.max", "cpu.idle", "io.bfq.weight", "cgroup.freeze", "cgroup.pressure")
}
"""Files whose limit has the file's name and is written in the same way."""

TYPED_KEYS = {"cpu.max.burst": "cpu.burst"}


def agrees(vector: Vector, name: str, key: str) -> None:
    """What the kernel refused is refused; what it took gives what it then printed."""
    data = {key: concrete(vector.input["value"])}
    if vector.expect["errno"] or vector.id in STRICTER:
        with pytest.raises(UsageError):
            held(data)
    else:
        (write,) = (write for write in writes(decode(nest(data), HOST), HOST) if write.file.name == name)
        before = write.file.entry(BEFORE.get(vector.id), write.key)
        printed = write.file.entry(concrete(vector.expect["readback"]), write.key)
        assert write.file.merge(before, write.wanted) == printed


@vectors.parametrize(NAMED, without=ASKS_THE_MACHINE)
def test_a_file_as_the_kernel_takes_it(vector: Vector) -> None:
    name = NAMED[vector.group]
    agrees(vector, name, f"files.{name}")


@vectors.parametrize(TYPED, without=ASKS_THE_MACHINE)
def test_a_limit_as_the_kernel_takes_it(vector: Vector) -> None:
    name = TYPED[vector.group]
    agrees(vector, name, TYPED_KEYS.get(name, name))


def test_two_lines_for_one_disk_of_io_max_are_refused() -> None:
    with pytest.raises(UsageError, match=r"io\.max is asked for twice"):
        held({"files.io.max": "8:0 rbps=1048576\n8:0 wbps=1048576"})


def test_all_rates_at_max_are_the_same_as_no_line() -> None:
    wanted = {"io.max": "8:0 rbps=max wbps=max riops=max wiops=max"}
    assert held(wanted, {"io.max": ""}) == held(wanted, {"io.max": "8:0 rbps=5 wbps=max riops=max wiops=max"})


# Texts


@vectors.parametrize(["cpuset list->byte mask"])
def test_a_list_of_cpus(vector: Vector) -> None:
    if vector.expect.get("error"):
        with pytest.raises(ValueError, match="is not a list of numbers"):
            Ranges.parse(vector.input["cpus"])
        return
    mask = sum(1 << number for number in Ranges.parse(vector.input["cpus"]).numbers)
    assert mask == int.from_bytes(bytes(vector.expect["bytes_le"]), "little")


@vectors.parametrize(["parse psi"])
def test_a_pressure_file(vector: Vector) -> None:
    found = pressure(vector.input["text"])
    lines = {kind: {key: getattr(line, key) for key in line.__struct_fields__} for kind, line in found.items()}
    assert lines == vector.expect


@vectors.parametrize(["parse io.stat"])
def test_a_line_of_io_stat(vector: Vector) -> None:
    stat = io.parse({"io.stat": vector.input["line"]})
    assert stat is not None
    expected = {key: value for key, value in vector.expect.items() if isinstance(value, int)}
    assert {key: stat.stat[vector.expect["dev"]][key] for key in expected} == expected


@vectors.parametrize(["parse uint file"])
def test_a_file_with_one_number(vector: Vector) -> None:
    assert amount(vector.input["text"]) == vector.expect["value"]


SIZES: dict[str, type[Size]] = {"systemd.parse_size(1024)": Size, "systemd.parse_size(1000)": Rate}


@vectors.parametrize(SIZES)
def test_sizes_and_rates_as_systemd_reads_them(vector: Vector) -> None:
    kind, text = SIZES[vector.group], vector.input["text"]
    if "error" in vector.expect or vector.id in STRICTER:
        with pytest.raises(ValueError, match="is not understood"):
            kind.parse(text)
    else:
        assert kind.parse(text).amount == vector.expect["bytes"]


@vectors.parametrize(["security.path"])
def test_a_path_that_leads_out_of_the_tree(vector: Vector) -> None:
    with pytest.raises(UsageError, match="not a cgroup path"):
        check_path(vector.input["cgroup_path"], "VE")


# The same limit, asked for in another system's words

IMPORT_LATER = {
    "libcgroup v1<->v2-001": "shares are converted by an importer",
    "libcgroup v1<->v2-002": "shares are converted by an importer",
    "libcgroup v1<->v2-011": "-1 for no limit is an importer's word",
    "libcgroup v1<->v2-012": "to cgroup v1",
    "libcgroup v1<->v2-013": "an importer's mapping",
    "oci.memory-005": "memory in use is checked by the live-adjust engine",
    "oci.pids.limit->pids.max-005": "0 for 1 is an importer's mapping",
    "systemd.props->files-012": "rctl reads 50 as 50 CPUs; that the sign is missing is the importer's to see",
    "systemd.props->files-020": "shares are converted by an importer",
    "systemd.props->files-022": "shares are converted by an importer",
    "systemd.props->files-026": "infinity for max is an importer's word",
    "systemd.props->files-036": "infinity for max is an importer's word",
    "systemd.props->files-041": "a percentage of the host's tasks is an importer's to work out",
    "systemd.props->files-048": "weights of single devices have no name in rctl yet",
    "systemd.props->files-055": "the path is resolved by the machine (test_devices)",
    "systemd.props->files-057": "infinity for max is an importer's word",
    "systemd.props->files-058": "this kernel has no io.latency (test_io in tests/kernel)",
    "systemd.props->files-063": "what to do at the end of memory is an importer's mapping",
    "systemd.props->files-064": "what to do at the end of memory is an importer's mapping",
}
"""Vectors of the groups run here that need more than rctl's own words."""

PROPERTIES = {
    "CPUQuota": "cpu.max",
    "CPUQuotaPeriodSec": "cpu.period",
    "CPUWeight": "cpu.weight",
    "MemoryMax": "memory.max",
    "MemoryHigh": "memory.high",
    "MemoryMin": "memory.min",
    "TasksMax": "pids.max",
    "IOWeight": "io.weight",
    "AllowedCPUs": "cpuset.cpus",
    "AllowedMemoryNodes": "cpuset.mems",
    "IOReadBandwidthMax": f"io.max.{DEVICE}.rbps",
    "IOWriteIOPSMax": f"io.max.{DEVICE}.wiops",
}

REFUSED_NOT_STRETCHED = {
    "systemd.props->files-005": r"cpu.max: 0\.0001 is too low: at least 0\.001",
    "systemd.props->files-009": r"cpu.period: 5s is out of range",
}
"""Where systemd silently takes another period, rctl says what is wrong."""


@vectors.parametrize(["systemd.props->files"], without=IMPORT_LATER)
def test_the_limit_that_systemd_would_set(vector: Vector) -> None:
    pairs = [prop.split("=", 1) for prop in vector.input["props"]]
    data = {PROPERTIES[name]: value.removeprefix("/dev/vdb ") for name, value in pairs}
    if vector.expect.get("error") or vector.id in REFUSED_NOT_STRETCHED:
        with pytest.raises((UsageError, ValueError), match=REFUSED_NOT_STRETCHED.get(vector.id)):
            held(data)
        return
    after = held(data, {"io.weight": "default 100"})
    assert after
    assert {name: concrete(vector.expect["files"][name]) for name in after} == after


@vectors.parametrize(["systemd.IOWeight->io.bfq.weight"])
def test_the_weight_on_bfqs_own_scale(vector: Vector) -> None:
    after = held({"io.weight": vector.input["IOWeight"]})
    assert after["io.bfq.weight"] == f"default {vector.expect['io.bfq.weight']}"


V1_FILES = {"memory.limit_in_bytes": "memory.max", "memory.soft_limit_in_bytes": "memory.high"}


@vectors.parametrize(["libcgroup v1<->v2"], without=IMPORT_LATER)
def test_bytes_of_cgroup_v1(vector: Vector) -> None:
    assert held({V1_FILES[name]: value for name, value in vector.input.items()}) == vector.expect


OCI = {
    "oci.cpu.quota/period->cpu.max": lambda quota, period: {
        "files.cpu.max": " ".join(str(n).replace("-1", "max") for n in (quota or "max", period) if n)
    },
    "oci.blkio.throttle->io.max": lambda **rates: {f"io.max.{DEVICE}.{key}": rate for key, rate in rates.items()},
    "oci.pids.limit->pids.max": lambda limit: {"pids.max": limit},
    "oci.cpu.idle->cpu.idle": lambda idle: {"files.cpu.idle": idle},
    "oci.memory": lambda reservation: {"memory.low": reservation},
}


@vectors.parametrize(OCI, without=IMPORT_LATER)
def test_the_limit_that_an_oci_runtime_would_set(vector: Vector) -> None:
    data = OCI[vector.group](**vector.input)
    if vector.expect.get("error"):
        with pytest.raises(UsageError, match=r"out of range|too high|too low|not a yes or no"):
            held(data)
    else:
        assert held(data) == {name: concrete(text) for name, text in vector.expect.items()}


# No vector is forgotten

RUN_HERE = {
    *NAMED,
    *SIZES,
    *OCI,
    *("cpuset list->byte mask", "parse psi", "parse io.stat", "parse uint file", "security.path"),
    *("systemd.props->files", "systemd.IOWeight->io.bfq.weight", "libcgroup v1<->v2"),
}

LATER = {
    "oci.cpu.shares->cpu.weight(quadratic)": "the OCI importer",
    "oci.cpu.shares->cpu.weight(linear,legacy)": "the OCI importer",
    "oci.memory.swap->memory.swap.max": "the OCI importer: memory and swap counted together",
    "oci.blkio.weight->io.weight": "the OCI importer",
    "oci.blkio.weight->io.bfq.weight": "the OCI importer, on disks that BFQ serves",
    "oci.cpu.quota->systemd CPUQuotaPerSecUSec": "setting a systemd unit's limits through systemd, from OCI",
    "oci.unified->systemd props": "setting a systemd unit's limits through systemd, from OCI",
    "systemd.cpu period clamp": "the systemd importer: rctl refuses where systemd stretches",
    "systemd.percent": "the systemd importer: in rctl a bare number is a number of CPUs",
    "systemd.slice->path": "the systemd importer: from unit names to paths",
    "systemd.cg_escape": "the systemd importer: from unit names to paths",
    "parse /proc/PID/cgroup": "finding a foreign VE by one of its processes",
    "kernel.psi_trigger": "waiting for pressure",
    "kernel.nsdelegate": "a VE with a cgroup namespace of its own",
}


def test_every_group_is_run_here_or_on_a_kernel_or_has_a_reason_to_wait() -> None:
    assert RUN_HERE | on_kernel.GROUPS | LATER.keys() == vectors.GROUPS


def test_no_group_both_runs_and_waits() -> None:
    assert not (RUN_HERE | on_kernel.GROUPS) & LATER.keys()


@pytest.mark.parametrize("ids", [ASKS_THE_MACHINE, STRICTER, IMPORT_LATER, REFUSED_NOT_STRETCHED, on_kernel.ELSEWHERE])
def test_every_exception_speaks_of_a_vector_that_is_there(ids: Mapping[str, str]) -> None:
    assert ids.keys() <= {vector.id for vector in vectors.ALL}


def test_what_asks_the_machine_is_run_on_a_kernel() -> None:
    asked = {vector.group for vector in vectors.ALL if vector.id in ASKS_THE_MACHINE}
    assert asked <= on_kernel.GROUPS
    assert not ASKS_THE_MACHINE.keys() & on_kernel.ELSEWHERE.keys()
