"""The way from a VE up to the root, each level with the files that bind all below it; outermost, the host.

The host speaks the same language as a cgroup: its RAM is its ``memory.max``, what of it is not available is its
``memory.current``, and so on. So what binds a VE is a question to one list.
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
"""The text of a file by absolute path; ``None`` when it is not there."""

HOST = "host"
BINDING = tuple(file.name for file in LIMITS if file.binds)
"""Limits of which the tightest on the way up counts, but for huge pages and the CPUs."""


def use_of(limit: str) -> str:
    """The file that counts what a limit is of; of some limits (``memory.high``) there is none of that name."""
    return f"{limit.rpartition('.')[0]}.current" if limit.endswith(".max") else ""


FILES = (cpu.MAX.name, "cpuset.cpus.effective", *BINDING, *filter(None, map(use_of, BINDING)))


class Level(msgspec.Struct, frozen=True):
    """One cgroup on the way, or the host (``path`` is ``host``), and its files' texts by name."""

    path: str
    texts: dict[str, str]


def way_up(tree: Tree, path: str, read: OptionalReader) -> tuple[Level, ...]:
    """The VE, its ancestors, the host. ``read`` gives the host's files. Raises NotFoundError, GoneError."""
    found = [Level(cgroup.path, _texts(cgroup)) for cgroup in tree.way(path)]
    found.reverse()
    return (*found, host(read))


def host_file(path: str) -> str | None:
    """The text of one of this host's files; ``None`` when it is not there or may not be read.

    Raises OSError where the machine has no descriptor or memory left: the file is there then.
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
    """The host as the outermost level; a fact that it does not tell is left out."""
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
    """Most processes and threads, and how many there are (the fourth field of proc(5) loadavg)."""
    bounds = [int(text) for name in ("pid_max", "threads-max") if (text := read(f"/proc/sys/kernel/{name}"))]
    found = {"pids.max": str(min(bounds))} if bounds else {}
    if load := read("/proc/loadavg"):
        found["pids.current"] = load.split()[3].partition("/")[2]
    return found


def _huge_pages(read: OptionalReader) -> dict[str, str]:
    """Pools of huge pages: what is reserved and what may be added on demand, and what is in use."""
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
