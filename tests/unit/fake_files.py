"""The interface files of the fake kernel: which there are, what new ones hold, what writing makes of them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

PAGE = 4096
CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
THREADED = {"cpu", "cpuset", "pids"}

DEFAULTS = {
    "memory": {
        "memory.max": "max",
        "memory.high": "max",
        "memory.low": "0",
        "memory.min": "0",
        "memory.swap.max": "max",
        "memory.swap.high": "max",
        "memory.zswap.max": "max",
        "memory.oom.group": "0",
    },
    "cpu": {
        "cpu.max": "max 100000",
        "cpu.max.burst": "0",
        "cpu.weight": "100",
        "cpu.weight.nice": "0",
        "cpu.idle": "0",
    },
    "cpuset": {"cpuset.cpus": "", "cpuset.mems": "", "cpuset.cpus.partition": "member"},
    "io": {"io.max": "", "io.weight": "default 100"},
    "pids": {"pids.max": "max"},
    "hugetlb": {"hugetlb.2MB.max": "max"},
    "": {"cgroup.freeze": "0", "cgroup.pressure": "1", "cgroup.subtree_control": ""},
}
"""The files that hold a limit, by controller, as they read in a new cgroup."""
OPTIONAL = {
    "memory": {"memory.zswap.writeback": "1"},
    "cpuset": {"cpuset.cpus.exclusive": ""},
    "io": {"io.bfq.weight": "default 100", "io.latency": ""},
}
"""Files of newer kernels, modules and options, which this one has not got until a test takes them from ``lacks``."""

_OTHERS = {
    "memory": ("memory.current", "memory.events", "memory.reclaim", "memory.swap.current", "memory.peak"),
    "cpuset": ("cpuset.cpus.effective", "cpuset.mems.effective"),
    "pids": ("pids.current",),
    "hugetlb": ("hugetlb.2MB.current",),
    "": (
        "cgroup.procs",
        "cgroup.controllers",
        "cgroup.events",
        "cgroup.stat",
        "cgroup.kill",
        "cgroup.type",
        "memory.pressure",
    ),
}
HOME = {
    name: controller for table in (DEFAULTS, OPTIONAL, _OTHERS) for controller, names in table.items() for name in names
}
ROOT = {"cgroup.procs", "cgroup.controllers", "cgroup.subtree_control", "cgroup.stat", "memory.pressure"} | {
    "cpuset.cpus.effective",
    "cpuset.mems.effective",
}


def require(condition: bool, number: int = errno.EINVAL) -> None:
    """Raise OSError unless this is so."""
    if not condition:
        raise OSError(number, os.strerror(number))


def bytes_of(text: str, unit: int) -> str:
    """page_counter_memparse() in mm/page_counter.c: overflow wraps, and the rest is rounded down to ``unit``."""
    if text == "max":
        return "max"
    match = re.fullmatch(r"(0x[0-9a-f]+|[0-9]+)([kmgtpe]?)", text.lower())
    if match is None:
        raise OSError(errno.EINVAL, text)
    number = int(match[1], 0 if match[1].startswith("0x") else 10) << (10 * " kmgtpe".index(match[2] or " "))
    number %= 1 << 64
    return "max" if number >= ((1 << 63) - 1) // PAGE * PAGE else str(number // unit * unit)


def _cpu_max(files: dict[str, str], text: str) -> str:
    words = text.split()
    match = re.match(r"-?\d+", words[0]) if words else None
    require(bool(words) and (words[0] == "max" or match is not None))
    period = int(words[1]) if len(words) > 1 and words[1].isdecimal() else int(files["cpu.max"].split()[1])
    require(1000 <= period <= 1000000)
    if words[0] == "max":
        return f"max {period}"
    assert match is not None
    require(1000 <= int(match[0]) < 1 << 44 and int(files.get("cpu.max.burst", "0")) <= int(match[0]))
    return f"{match[0]} {period}"


def _burst(files: dict[str, str], text: str) -> str:
    quota = files["cpu.max"].split()[0]
    require(text.isdecimal() and (quota == "max" or int(text) <= int(quota)))
    return text


def _weight(files: dict[str, str], text: str) -> str:
    require(text.isdecimal() and files.get("cpu.idle") != "1")
    require(1 <= int(text) <= 10000, errno.ERANGE)
    return text


def _nice(files: dict[str, str], text: str) -> str:
    require(text.lstrip("-").isdecimal())
    require(-20 <= int(text) <= 19, errno.ERANGE)
    return text


def _idle(files: dict[str, str], text: str) -> str:
    require(text in ("0", "1"))
    return text


CPU = {
    "cpu.max": _cpu_max,
    "cpu.max.burst": _burst,
    "cpu.weight": _weight,
    "cpu.weight.nice": _nice,
    "cpu.idle": _idle,
}


def numbers_of(text: str) -> set[int]:
    """A list of CPUs or nodes: ``0-3,8``."""
    ends = [part.split("-") for part in text.split(",") if part]
    return {number for part in ends for number in range(int(part[0]), int(part[-1]) + 1)}


def ranges(numbers: set[int]) -> str:
    """The list as the kernel writes it."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def io_weight(value: str, most: int) -> str:
    """``io.weight`` and ``io.bfq.weight``, of which the default alone is known."""
    key, _, number = value.rpartition(" ")
    require(number.isdecimal() and 1 <= int(number) <= most)
    require(not key or key == "default", errno.EOPNOTSUPP)
    return f"default {number}"


BY_DEVICE = {"io.max": ("rbps", "wbps", "riops", "wiops"), "io.latency": ("target",)}


def io_by_device(file: str, text: str, value: str, disks: Sequence[str]) -> str:
    """What ``io.max`` or ``io.latency`` holds after this line was written."""
    require("\n" not in value)
    device, *pairs = value.split()
    require(":" in device)
    require(device in disks, errno.ENODEV)
    require(bool(pairs))
    lines = {line.split()[0]: dict(pair.split("=") for pair in line.split()[1:]) for line in text.splitlines()}
    rates = lines.setdefault(device, dict.fromkeys(BY_DEVICE[file], "max"))
    for pair in pairs:
        key, _, number = pair.partition("=")
        require(key in rates)
        require(number == "max" or number.isdecimal())
        if number != "max" and file == "io.max":
            require(int(number) > 0, errno.ERANGE)
            require(int(number) > 1)
            number = "max" if key.endswith("iops") and int(number) >= (1 << 32) - 1 else str(int(number))
        rates[key] = number
    kept = {dev: line for dev, line in lines.items() if set(line.values()) != {"max"}}
    return "\n".join(f"{dev} " + " ".join(f"{k}={v}" for k, v in line.items()) for dev, line in kept.items())
