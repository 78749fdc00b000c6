"""Every cgroup v2 file with its names: limit, attribute, metric, systemd property.

The files are those of https://docs.kernel.org/admin-guide/cgroup-v2.html, the properties those of
systemd.resource-control(5) and systemd.kill(5). The rest comes from the code.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, get_type_hints

from rctl import attributes
from rctl.cgroupfs.descriptors import Interface
from rctl.limit_reference import limits, verbatim

from .metrics import metrics

FILES: dict[str, str] = {
    "cgroup.type": "",
    "cgroup.procs": "",
    "cgroup.threads": "",
    "cgroup.controllers": "",
    "cgroup.subtree_control": "`Delegate=`, `DisableControllers=`",
    "cgroup.events": "",
    "cgroup.max.descendants": "",
    "cgroup.max.depth": "",
    "cgroup.stat": "",
    "cgroup.stat.local": "",
    "cgroup.freeze": "`systemctl freeze`",
    "cgroup.kill": "`KillMode=`",
    "cgroup.pressure": "",
    "irq.pressure": "",
    "cpu.stat": "`CPUAccounting=`",
    "cpu.stat.local": "",
    "cpu.weight": "",
    "cpu.weight.nice": "",
    "cpu.max": "",
    "cpu.max.burst": "",
    "cpu.pressure": "`CPUPressureWatch=` (261)",
    "cpu.uclamp.min": "",
    "cpu.uclamp.max": "",
    "cpu.idle": "",
    "memory.current": "`MemoryAccounting=`",
    "memory.min": "",
    "memory.low": "",
    "memory.high": "",
    "memory.max": "",
    "memory.reclaim": "",
    "memory.peak": "`MemoryPeak` (read)",
    "memory.oom.group": "",
    "memory.events": "",
    "memory.events.local": "",
    "memory.stat": "",
    "memory.numa_stat": "",
    "memory.swap.current": "`MemorySwapCurrent` (read)",
    "memory.swap.high": "",
    "memory.swap.peak": "`MemorySwapPeak` (read)",
    "memory.swap.max": "",
    "memory.swap.events": "",
    "memory.zswap.current": "`MemoryZSwapCurrent` (read)",
    "memory.zswap.max": "",
    "memory.zswap.writeback": "",
    "memory.pressure": "`MemoryPressureWatch=`",
    "io.stat": "`IOAccounting=`",
    "io.cost.qos": "",
    "io.cost.model": "",
    "io.weight": "",
    "io.bfq.weight": "",
    "io.max": "",
    "io.latency": "",
    "io.prio.class": "",
    "io.pressure": "`IOPressureWatch=` (261)",
    "pids.max": "",
    "pids.current": "`TasksAccounting=`",
    "pids.peak": "",
    "pids.events": "",
    "pids.events.local": "",
    "cpuset.cpus": "",
    "cpuset.cpus.effective": "`EffectiveCPUs` (read)",
    "cpuset.mems": "",
    "cpuset.mems.effective": "`EffectiveMemoryNodes` (read)",
    "cpuset.cpus.exclusive": "",
    "cpuset.cpus.exclusive.effective": "",
    "cpuset.cpus.isolated": "",
    "cpuset.cpus.partition": "",
    "rdma.max": "",
    "rdma.current": "",
    "dmem.capacity": "",
    "dmem.max": "",
    "dmem.min": "",
    "dmem.low": "",
    "dmem.current": "",
    "hugetlb.SIZE.current": "",
    "hugetlb.SIZE.max": "",
    "hugetlb.SIZE.events": "",
    "hugetlb.SIZE.events.local": "",
    "hugetlb.SIZE.numa_stat": "",
    "hugetlb.SIZE.rsvd.current": "",
    "hugetlb.SIZE.rsvd.max": "",
    "misc.capacity": "",
    "misc.current": "",
    "misc.peak": "",
    "misc.max": "",
    "misc.events": "",
    "misc.events.local": "",
}
"""The files in the kernel's order. A systemd property stands here if no limit of rctl declares it."""
_SINCE = {"CPUSetPartition=": " (261)"}
"""The first version of systemd with a property, for the newest ones."""
_SIZE = re.compile(r"(?<=hugetlb\.)([0-9]+[KMG]B|\*)")


def general(file: str) -> str:
    """The file's name with ``SIZE`` instead of a size of huge pages."""
    return _SIZE.sub("SIZE", file)


class Row(NamedTuple):
    """The names of one file."""

    file: str
    limits: Sequence[str]
    attributes: Sequence[str]
    metrics: Sequence[str]
    systemd: str


def rows() -> Iterator[Row]:
    """A row for each file."""
    keys, attributes, shown = defaultdict[str, list[str]](list), _attributes(), _metrics()
    for limit in (*limits(), *verbatim()):
        for file in limit.files:
            keys[general(file)].append(general(limit.key))
    declared = {general(one.file.name): one.file.systemd for one in (*limits(), *verbatim()) if one.file}
    for file in dict.fromkeys((*FILES, *declared)):
        systemd = FILES.get(file) or _properties(declared.get(file, ()))
        yield Row(file, list(dict.fromkeys(keys[file])), attributes[file], shown[file], systemd)


def _properties(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`{_SINCE.get(name, '')}" for name in names)


def _attributes() -> dict[str, list[str]]:
    """Attributes of a VE by file."""
    found = defaultdict[str, list[str]](list)
    for file, name in _within(attributes.Limited):
        found[file].append(name)
    found["hugetlb.SIZE.max"] = ['hugetlb["SIZE"]']
    found["hugetlb.SIZE.rsvd.max"] = ['hugetlb["SIZE.rsvd"]']
    found["cpuset.cpus.effective"].append("vcpus")
    return found


def _within(kind: type[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The files of a group of attributes, and of the groups in it; each with its attribute."""
    for name, member in vars(kind).items():
        if isinstance(member, Interface):
            yield member.filename.decode(), before + name
        elif isinstance(member, property):
            group = getattr(attributes, get_type_hints(member.fget)["return"].__name__, None)
            yield from _within(group, f"{before}{name}.") if group else ()


def _metrics() -> dict[str, list[str]]:
    """Metrics by file."""
    found = defaultdict[str, list[str]](list)
    for metric in metrics():
        found[general(metric.file)].append(metric.entry.name)
    return found


def table() -> Iterator[str]:
    """The table of all files."""
    yield from ("| file | limit | attribute | metric | systemd |", "|---|---|---|---|---|")
    for row in rows():
        names = _code(row.limits), _code(row.attributes), _some(row.metrics)
        yield f"| `{row.file}` | {' | '.join(names)} | {row.systemd} |"


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _some(names: Sequence[str]) -> str:
    """The metrics of a file; if there are many, the first and the number of the others."""
    more = f" and [{len(names) - 3} more](/reference/metrics.md)" if len(names) > 4 else ""
    return _code(names[:3] if more else names) + more
