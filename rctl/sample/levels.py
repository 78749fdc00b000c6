"""The way from a VE up to the root: each level with the files that bind the cgroups below it; the last is the host.

The host has the same files as a cgroup: its RAM is its ``memory.max``, its memory that is not available is its
``memory.current``, and so on. So one list answers what binds a VE.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import cpu, hugetlb
from ..errors import OUT_OF
from ..limits import FILES as LIMITS

OptionalReader = Callable[[str], str | None]
"""Returns the text of a file by absolute path; ``None`` if it is missing."""

HOST = "host"
BINDING = tuple(file.name for file in LIMITS if file.binds)
"""Limits of which the lowest on the way up counts, except huge pages and CPUs."""


def use_of(limit: str) -> str:
    """The file that counts the use for a limit; some limits (``memory.high``) have no file of that name."""
    return f"{limit.rpartition('.')[0]}.current" if limit.endswith(".max") else ""


FILES = (cpu.MAX.name, "cpuset.cpus.effective", *BINDING, *filter(None, map(use_of, BINDING)))


class Level(msgspec.Struct, frozen=True):
    """One cgroup on the way, or the host (``path`` is ``host``), with its files' texts by name."""

    path: str
    texts: dict[str, str]


def way_up(tree: Tree, path: str, read: OptionalReader) -> tuple[Level, ...]:
    """The VE, its ancestors, the host. ``read`` returns the host's files. Raises NotFoundError, GoneError."""
    found = [Level(cgroup.path, _texts(cgroup)) for cgroup in tree.way(path)]
    found.reverse()
    return (*found, host(read))


def host_file(path: str) -> str | None:
    """The text of one of this host's files; ``None`` if it is missing or may not be read.

    Raises OSError if the machine has no free descriptor or memory: the file exists then.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError as error:
        if error.errno in OUT_OF:
            raise
        return None


def _texts(cgroup: Cgroup) -> dict[str, str]:
    names = (*FILES, *hugetlb.files(cgroup.files()))
    return {name: text for name in names if (text := cgroup.read_if_there(name)) is not None}


def host(read: OptionalReader) -> Level:
    """The host as the last level, without facts that it does not have."""
    facts = {**_memory(read("/proc/meminfo") or ""), **_threads(read), **_huge_pages(read)}
    if cpus := read("/sys/devices/system/cpu/online"):
        facts["cpuset.cpus.effective"] = cpus.strip()
    return Level(HOST, facts)


def _memory(meminfo: str) -> dict[str, str]:
    """RAM and swap (proc(5) meminfo, in KiB)."""
    size = {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", meminfo, re.MULTILINE)}
    pairs = {"memory": ("MemTotal", "MemAvailable"), "memory.swap": ("SwapTotal", "SwapFree")}
    found: dict[str, str] = {}
    for name, (whole, free) in pairs.items():
        if whole in size and free in size:
            found |= {f"{name}.max": str(size[whole]), f"{name}.current": str(size[whole] - size[free])}
    return found


def _threads(read: OptionalReader) -> dict[str, str]:
    """Most processes and threads, and their number now (the fourth field of proc(5) loadavg)."""
    bounds = [int(text) for name in ("pid_max", "threads-max") if (text := read(f"/proc/sys/kernel/{name}"))]
    found = {"pids.max": str(min(bounds))} if bounds else {}
    if load := read("/proc/loadavg"):
        found["pids.current"] = load.split()[3].partition("/")[2]
    return found


def _huge_pages(read: OptionalReader) -> dict[str, str]:
    """Pools of huge pages: the reserved number with those on demand, and the number in use."""
    found = {}
    for kib, name in ((64, "64KB"), (2048, "2MB"), (32768, "32MB"), (1048576, "1GB")):
        place = f"/sys/kernel/mm/hugepages/hugepages-{kib}kB"
        texts = [read(f"{place}/{part}") for part in ("nr_hugepages", "nr_overcommit_hugepages", "surplus_hugepages")]
        if None in texts:
            continue
        pages, extra, surplus = (int(text or 0) for text in texts)
        free = int(read(f"{place}/free_hugepages") or 0)
        found[f"hugetlb.{name}.max"] = str((pages - surplus + extra) * kib * 1024)
        found[f"hugetlb.{name}.current"] = str((pages - free) * kib * 1024)
    return found
