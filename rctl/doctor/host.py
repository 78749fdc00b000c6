"""Facts of the host beside cgroups: pressure, swap, huge pages, size, open files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..ranges import Ranges
from ..units import human_size
from .check import Check


def pressure(texts: Mapping[str, str | None]) -> Check:
    """Check PSI. ``texts``: /proc/pressure/* by resource; ``None`` if it cannot be read."""
    there = [kind for kind, text in texts.items() if text]
    if {"cpu", "memory", "io"} <= set(there):
        return Check("pressure (PSI)", "ok", ", ".join(there))
    remedy = "Boot with psi=1, or a kernel with CONFIG_PSI"
    return Check("pressure (PSI)", "warn", "off: waiting for CPU, memory and disks is not measured", remedy)


def swap(swaps: str) -> Check:
    """Check swap, from the text of /proc/swaps (proc(5))."""
    rows = [line.split() for line in swaps.splitlines()[1:] if line.strip()]
    if not rows:
        remedy = "Add swap or zram: VEs at memory.high then slow down instead of stalling"
        return Check("swap", "warn", "none: memory.swap.max limits nothing, and only files can be reclaimed", remedy)
    return Check("swap", "ok", ", ".join(f"{row[0]} {human_size(int(row[2]) * 1024)}" for row in rows))


def zswap(enabled: str | None) -> Check:
    """Check zswap, from /sys/module/zswap/parameters/enabled; ``None``: this kernel has none."""
    if enabled is None:
        return Check("zswap", "info", "not in this kernel")
    if enabled.strip() in ("Y", "1"):
        return Check("zswap", "ok", "on")
    return Check("zswap", "info", "off", "To compress swap in memory: echo 1 > /sys/module/zswap/parameters/enabled")


def sched_ext(state: str, ops: str) -> Check:
    """Check for a sched_ext scheduler, from the texts of its ``state`` and ``root/ops``; empty: not in this kernel."""
    if state.strip() != "enabled":
        return Check("sched_ext", "ok", "no scheduler is loaded" if state else "not in this kernel")
    found = f"{ops.strip()} is loaded: cpu.max, cpu.weight, cpu.idle and cpu.max.burst are left to it"
    return Check("sched_ext", "warn", found, "See whether it heeds them, or stop it")


def huge_pages(pools: Mapping[str, str], counted: bool = False) -> Check:
    """Check huge pages. ``pools``: text of nr_hugepages by folder name (``hugepages-2048kB``).

    ``counted``: memory.max counts them, by a mount option.
    """
    sizes = [(int(match[1]), text.strip()) for name, text in pools.items() if (match := re.search(r"-(\d+)kB$", name))]
    if not sizes:
        return Check("huge pages", "info", "none in this kernel")
    reserved = ", ".join(f"{human_size(kib * 1024)}B: {n} reserved" for kib, n in sorted(sizes))
    return Check("huge pages", "info", f"{reserved}; memory.max {'counts them' if counted else 'does not count them'}")


def size(kernel: str, meminfo: str, cpus: str, nodes: str) -> Check:
    """Kernel release (only shown: rctl looks for files and never compares versions), RAM, CPUs, NUMA nodes."""
    total = re.search(r"^MemTotal:\s+(\d+)", meminfo, re.MULTILINE)
    ram = human_size(int(total[1]) * 1024) if total else "?"
    online, numa = (len(Ranges.parse(text.strip()).numbers) for text in (cpus, nodes or "0"))
    return Check(
        "host", "info", f"Linux {kernel}, {ram} RAM, {online} CPUs, {numa} NUMA node{'s' if numa != 1 else ''}"
    )


def open_files(soft: int, hard: int) -> Check:
    """Check the limit of open files. An adjustment holds about ten files of each VE open, and raises the soft limit."""
    room = "any number of" if hard < 0 else f"about {max(0, hard - 256) // 10}"
    what = f"{soft} (at most {hard if hard >= 0 else 'unlimited'}): {room} VEs in one adjustment"
    if 0 <= hard < 4096:
        return Check(
            "open files", "warn", what, "Raise the hard limit: ulimit -Hn 65536, or LimitNOFILE= of the service"
        )
    return Check("open files", "ok", what)
