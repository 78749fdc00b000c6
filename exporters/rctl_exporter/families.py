"""Every metric family about VEs: name, type, help, and source. All other modules read this table.

Names follow https://prometheus.io/docs/practices/naming/: base units, ``_total`` on counters. Sources are the files of
https://docs.kernel.org/admin-guide/cgroup-v2.html. A figure that the kernel or a VE lacks is absent, not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from rctl.controllers import cpu, hugetlb, io, memory, pids
from rctl.formats import File

PREFIX = "rctl_ve_"

MetricKind = Literal["counter", "gauge", "info"]


class Family(msgspec.Struct, frozen=True, eq=False):
    """One metric family; there is one object for each. ``name``: without ``_total`` and without the prefix.

    ``core``: also in the profile ``core``. ``source``: file, line and key of the interface file, if the value is
    exported unchanged; empty if it is computed (``limit_families``, ``frame``). A line ``*`` stands for every device or
    node, and ``label`` names it (two names with a comma between them: the family has two labels of its own). A ``*`` in
    the place of the file or key stands for every page size or resource. ``micro``: the kernel counts microseconds.
    """

    name: str
    kind: MetricKind
    help: str
    collector: str
    core: bool = False
    source: tuple[str, str, str] | None = None
    micro: bool = False
    label: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the family's own labels."""
        return tuple(filter(None, self.label.split(",")))

    @property
    def full_name(self) -> str:
        """The family's name in Prometheus, without a counter's ``_total``."""
        return (PREFIX + self.name).rstrip("_")

    @property
    def sample(self) -> str:
        """The name on each sample line."""
        return self.full_name + {"counter": "_total", "gauge": "", "info": "_info"}[self.kind]


def _flat(collector: str, file: str, *rows: tuple[str, str, str, bool], micro: bool = False) -> list[Family]:
    """Counters of a flat keyed file: family, key, help, whether in core."""
    return [Family(name, "counter", text, collector, core, (file, "", key), micro) for name, key, text, core in rows]


def _single(collector: str, *rows: tuple[str, str, str, bool]) -> list[Family]:
    """Gauges from files with a single number: family, file, help, whether in core."""
    return [Family(name, "gauge", text, collector, core, (file, "", "")) for name, file, text, core in rows]


def _limit(*rows: tuple[str, str, bool], label: str = "") -> list[Family]:
    """Gauges computed from the limits that are set: family, help, whether in core."""
    return [Family(name, "gauge", text, "limits", core, label=label) for name, text, core in rows]


def _declared(files: Sequence[File]) -> list[Family]:
    """Gauges of limits, from their declarations."""
    return [
        Family(one.name, "gauge", one.help, "limits", one.core, label=file.label)
        for file in files
        for one in file.metrics
    ]


IDENTITY = [
    Family("", "info", "The owner of the VE, its cgroup, unit, container and pod.", "identity", True),
    Family(
        "populated", "gauge", "Whether the VE, or a cgroup below it, has a process.", "identity", True,
        ("cgroup.events", "", "populated"),
    ),
    Family("frozen", "gauge", "Whether the VE is frozen.", "identity", True, ("cgroup.events", "", "frozen")),
    Family("processes_current", "gauge", "Processes in the VE.", "identity"),
    Family(
        "descendants", "gauge", "Living cgroups below the VE.", "identity", False, ("cgroup.stat", "", "nr_descendants")
    ),
    Family(
        "dying_descendants", "gauge", "Removed cgroups below the VE that still hold memory.", "identity", False,
        ("cgroup.stat", "", "nr_dying_descendants"),
    ),
]  # fmt: skip

CPU = [
    *_flat(
        "cpu", "cpu.stat",
        ("cpu_usage_seconds", "usage_usec", "CPU time.", True),
        ("cpu_user_seconds", "user_usec", "CPU time in user mode.", True),
        ("cpu_system_seconds", "system_usec", "CPU time in the kernel.", True),
        ("cpu_nice_seconds", "nice_usec", "CPU time in user mode at a lowered priority.", False),
        ("cpu_throttled_seconds", "throttled_usec", "Time that CPUs' run queues were throttled by cpu.max.", True),
        ("cpu_burst_seconds", "burst_usec", "CPU time above the quota, from the burst.", False),
        ("cpu_core_sched_force_idle_seconds", "core_sched.force_idle_usec", "CPU time forced idle by core scheduling.",
         False),
        micro=True,
    ),
    *_flat("cpu", "cpu.stat.local",
           ("cpu_local_throttled_seconds", "throttled_usec", "Time throttled by the VE's own cpu.max alone.", False),
           micro=True),
    *_flat(
        "cpu", "cpu.stat",
        ("cpu_periods", "nr_periods", "Enforcement periods of cpu.max that have passed.", True),
        ("cpu_throttled_periods", "nr_throttled", "Enforcement periods in which the VE was throttled.", True),
        ("cpu_bursts", "nr_bursts", "Enforcement periods in which the VE used its burst.", False),
    ),
    *_declared(cpu.FILES),
    *_limit(
        ("cpu_effective_limit_cores", "CPU time that the VE, all above it, and its CPUs allow, in CPUs.", True),
        ("cpuset_effective_cpus", "CPUs that the VE may run on.", False),
    ),
]  # fmt: skip

MEMORY = [
    *_single(
        "memory",
        ("memory_current_bytes", "memory.current", "Memory in use, caches included.", True),
        ("memory_peak_bytes", "memory.peak", "Most memory in use since the VE was made.", True),
        ("swap_current_bytes", "memory.swap.current", "Swap in use.", True),
        ("swap_peak_bytes", "memory.swap.peak", "Most swap in use since the VE was made.", False),
        ("zswap_current_bytes", "memory.zswap.current", "Memory that compressed swap takes.", False),
    ),
    *_declared(memory.FILES),
    Family("memory_working_set_bytes", "gauge", "Memory in use without inactive file cache.", "memory", True),
    *_limit(
        ("memory_effective_limit_bytes", "Most memory that the VE, all above it and the host allow.", True),
    ),
    *_flat(
        "memory", "memory.events",
        ("memory_events_low", "low", "Times that protected memory (memory.low) was reclaimed.", False),
        ("memory_events_high", "high", "Times that memory.high throttled.", True),
        ("memory_events_max", "max", "Times that memory.max was about to be passed.", True),
        ("memory_events_oom", "oom", "Times that an allocation was about to fail at the limit.", True),
        ("memory_events_oom_kill", "oom_kill", "Processes killed by the OOM killer.", True),
        ("memory_events_oom_group_kill", "oom_group_kill", "Times that the VE was killed as a whole.", False),
        ("memory_events_sock_throttled", "sock_throttled", "Times that network sockets were throttled.",
         False),
    ),
    *_flat(
        "memory", "memory.events.local",
        ("memory_events_local_low", "low", "Times that memory protected by the VE's own memory.low was reclaimed.",
         False),
        ("memory_events_local_high", "high", "Times that the VE's own memory.high throttled.", False),
        ("memory_events_local_max", "max", "Times that the VE's own memory.max was about to be passed.", False),
        ("memory_events_local_oom", "oom", "Times that an allocation was about to fail at the VE's own limit.", False),
        ("memory_events_local_oom_kill", "oom_kill", "Processes of the VE's own cgroup killed by the OOM killer.",
         False),
        ("memory_events_local_oom_group_kill", "oom_group_kill", "Times that the VE itself was killed as a whole.",
         False),
        ("memory_events_local_sock_throttled", "sock_throttled",
         "Times that network sockets of the VE's own cgroup were throttled.", False),
    ),
    *_flat(
        "memory", "memory.swap.events",
        ("swap_events_high", "high", "Times that memory.swap.high was passed.", False),
        ("swap_events_max", "max", "Times that memory.swap.max was about to be passed.", False),
        ("swap_events_fail", "fail", "Times that an allocation of swap failed.", False),
    ),
]  # fmt: skip

NUMA = [
    Family(f"memory_numa_{key}_bytes", "gauge", f"{what} memory by node.", "numa", False,
           ("memory.numa_stat", key, "*"), label="node")
    for key, what in (("anon", "Anonymous"), ("file", "File"))
]  # fmt: skip

PRESSURE = [
    Family(
        f"pressure_{kind}_{family}_seconds", "counter", f"Time that {who} waited for {what}.", "pressure", True,
        (f"{kind}.pressure", line, "total"), True,
    )
    for kind, what in (("cpu", "a CPU"), ("memory", "memory"), ("io", "I/O"), ("irq", "interrupts"))
    for line, family, who in (("some", "waiting", "some task"), ("full", "stalled", "all tasks at once"))
    if (kind, line) != ("irq", "some")
]  # fmt: skip


def _io(name: str, key: str, text: str, core: bool = False, micro: bool = False) -> Family:
    return Family(name, "counter", text, "io", core, ("io.stat", "*", key), micro, "device")


IO = [
    _io("io_read_bytes", "rbytes", "Bytes read.", True),
    _io("io_written_bytes", "wbytes", "Bytes written.", True),
    _io("io_discarded_bytes", "dbytes", "Bytes discarded."),
    _io("io_reads", "rios", "Reads.", True),
    _io("io_writes", "wios", "Writes.", True),
    _io("io_discards", "dios", "Discards."),
    _io("io_cost_usage_seconds", "cost.usage", "Device time used, by iocost's model.", micro=True),
    _io("io_cost_wait_seconds", "cost.wait", "Time waited in iocost.", micro=True),
    _io("io_cost_indebt_seconds", "cost.indebt", "Time in debt to iocost.", micro=True),
    _io("io_cost_indelay_seconds", "cost.indelay", "Time delayed by iocost for a debt.", micro=True),
    *_declared(io.FILES),
]

OTHERS = [
    *_single(
        "pids",
        ("pids_current", "pids.current", "Processes and threads.", True),
        ("pids_peak", "pids.peak", "Most processes and threads since the VE was made.", False),
    ),
    *_declared(pids.FILES),
    *_flat("pids", "pids.events", ("pids_max_events", "max", "Forks refused at the limit.", True)),
    Family("hugetlb_current_bytes", "gauge", "Huge pages in use.", "hugetlb", False,
           ("hugetlb.*.current", "", ""), label="page_size"),
    *_declared([hugetlb.file("2MB")]),  # one family for all sizes
    Family("hugetlb_max_events", "counter", "Huge pages refused at the limit.", "hugetlb", False,
           ("hugetlb.*.events", "", "max"), label="page_size"),
    Family("rdma_handles_current", "gauge", "RDMA handles in use.", "rdma", False,
           ("rdma.current", "*", "hca_handle"), label="device"),
    Family("misc_current", "gauge", "Units of a scalar resource in use.", "misc", False,
           ("misc.current", "", "*"), label="resource"),
    *_limit(("misc_max", "Most units of a scalar resource.", False), label="resource"),
    *_limit(("limit_drift", "Whether a limit is no longer the value that rctl last set.", True),
            label="setting"),
    *_limit(("limit_not_enforced", "Limits that are set and that this host does not enforce, and the reason.", True),
            label="setting,reason"),
]  # fmt: skip
