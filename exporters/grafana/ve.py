"""The rows on one VE: use beside limits, waits, refusals."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph

from .parts import ONE, Curve, Field, gauge, graph, limit, rate, stat, table

_NOT_ENFORCED = gauge("limit_not_enforced")
_SHARE_OF_TIME = "Share of the time, from the kernel's totals."


def state() -> list[Stat | Table]:
    """The state of the VE, and limits that another program changed."""
    return [
        stat("Processes", "Processes in the VE itself.", gauge("processes_current")),
        stat("Frozen", "1 while it is frozen.", gauge("frozen"), levels=(1, 1)),
        stat("Cgroups below", "Living cgroups below it.", gauge("descendants")),
        stat("Dying cgroups", "Removed cgroups below it that still hold memory.", gauge("dying_descendants"),
             levels=(100, 500)),
        stat("Killed", "Processes killed for lack of memory since it was made.",
             f"rctl_ve_memory_events_oom_kill_total{ONE}", levels=(1, 10)),
        stat("Killed as a whole", "1: running out of memory kills all of it.", gauge("memory_oom_group")),
        stat("cpu.weight", "Its share of CPUs that others want, too.", gauge("cpu_weight")),
        stat("cpu.idle", "1: it runs when no other task wants the CPU.", gauge("cpu_idle")),
        stat("CPUs to run on", "CPUs that it may run on.", gauge("cpuset_effective_cpus")),
        stat("cpu.max period", "The time for which its quota counts.", gauge("cpu_period_seconds"), "s"),
        stat("cpu.max.burst", "CPU time that a burst may add to a period.", gauge("cpu_burst_limit_seconds"), "s"),
        stat("io.weight", "Its share of disks that others want, too.", gauge("io_weight")),
        table("Drift", "1: the limit is no longer the value that rctl last set.",
              {"ve": "VE", "instance": "Host", "setting": "Limit"},
              [Field(f"max by (instance, ve, setting) ({gauge('limit_drift')})", "Changed", "short", (1, 1))],
              width=6).height(4),
        table("Not enforced", "1: the limit is set, and the host does not enforce it. rctl show says more.",
              {"ve": "VE", "instance": "Host", "setting": "Limit", "reason": "Reason"},
              [Field(f"max by (instance, ve, setting, reason) ({_NOT_ENFORCED})", "Set", "short", (1, 1))],
              width=6).height(4),
    ]  # fmt: skip


def cpu() -> list[Graph]:
    """CPU time, throttling."""
    return [
        graph("CPU", "CPU time, in CPUs. The effective limit is the tightest up to the host.", "short", [
            Curve(rate("cpu_user_seconds"), "user"),
            Curve(rate("cpu_system_seconds"), "system"),
            limit("cpu_limit_cores", "cpu.max"),
            limit("cpu_effective_limit_cores", "effective"),
        ], stacked=True),
        graph("Throttled", "Share of cpu.max's periods in which it was throttled or used its burst.", "percentunit", [
            Curve(f"{rate('cpu_throttled_periods')} / ({rate('cpu_periods')} > 0)", "throttled"),
            Curve(f"{rate('cpu_bursts')} / ({rate('cpu_periods')} > 0)", "burst"),
        ]),
        graph("Time lost", "Seconds per second, summed over CPUs.", "short", [
            Curve(rate("cpu_throttled_seconds"), "throttled"),
            Curve(rate("cpu_local_throttled_seconds"), "throttled by its own limit"),
            Curve(rate("cpu_core_sched_force_idle_seconds"), "forced idle"),
            Curve(rate("cpu_burst_seconds"), "gained by bursts"),
        ]),
    ]  # fmt: skip


def memory() -> list[Graph]:
    """Memory beside its limits, its parts, and reclaim."""
    return [
        graph("Memory", "The working set is the memory in use without inactive file cache.", "bytes", [
            Curve(gauge("memory_current_bytes"), "used"),
            Curve(gauge("memory_working_set_bytes"), "working set"),
            Curve(gauge("memory_peak_bytes"), "peak"),
            limit("memory_max_bytes", "memory.max"),
            limit("memory_high_bytes", "memory.high"),
            limit("memory_effective_limit_bytes", "effective"),
            Curve(f"{gauge('memory_low_bytes')} > 0 < Inf", "limit memory.low"),
            Curve(f"{gauge('memory_min_bytes')} > 0 < Inf", "limit memory.min"),
        ]),
        graph("Swap", "Swap, and the memory that compressed swap takes.", "bytes", [
            Curve(gauge("swap_current_bytes"), "used"),
            Curve(gauge("swap_peak_bytes"), "peak"),
            Curve(gauge("zswap_current_bytes"), "compressed in memory"),
            limit("swap_max_bytes", "memory.swap.max"),
            limit("swap_high_bytes", "memory.swap.high"),
            limit("zswap_max_bytes", "memory.zswap.max"),
        ]),
        graph("At its limits", "Events per second: throttled at high, reclaimed at max, killed, swap refused.", "cps", [
            *(Curve(rate(f"memory_events_{key}"), f"memory {key}")
              for key in ("low", "high", "max", "oom", "oom_kill", "oom_group_kill", "sock_throttled")),
            *(Curve(rate(f"swap_events_{key}"), f"swap {key}") for key in ("high", "max", "fail")),
            Curve(rate("hugetlb_max_events"), "huge pages of {{page_size}}"),
        ]),
        graph("What memory is used for", "The parts of memory.current, from memory.stat.", "bytes", [
            *(_part(key) for key in ("anon", "shmem", "slab_reclaimable", "slab_unreclaimable", "kernel_stack",
                                     "pagetables", "percpu", "sock", "vmalloc")),
            Curve(f"{gauge('memory_stat_file_bytes')} - {gauge('memory_stat_shmem_bytes')}", "file cache"),
        ], stacked=True),
        graph("Lists", "Reclaim takes inactive memory first.", "bytes", [
            *(_part(key) for key in ("active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable")),
        ], stacked=True),
        graph("File cache and huge pages", "File cache that is mapped or waits to be written; transparent huge pages.",
              "bytes", [_part(key) for key in ("file_mapped", "file_dirty", "file_writeback", "anon_thp", "file_thp",
                                               "shmem_thp")]),
        graph("Reclaim", "Pages per second. Refaults: pages that were needed again soon after reclaim.", "cps", [
            *(Curve(rate(f"memory_stat_{key}"), key) for key in ("pgscan", "pgsteal", "workingset_refault_anon",
                                                                "workingset_refault_file", "workingset_activate_file")),
        ]),
        graph("Page faults", "Per second; major ones waited for a disk.", "cps", [
            *(Curve(rate(f"memory_stat_{key}"), key) for key in ("pgfault", "pgmajfault")),
        ]),
        graph("NUMA", "Memory by node; needs the collector numa.", "bytes", [
            *(Curve(gauge(f"memory_numa_{key}_bytes"), f"{{{{node}}}} {key}") for key in ("anon", "file")),
        ]),
    ]  # fmt: skip


def pressure() -> list[Graph]:
    """The waits of tasks."""
    return [
        graph("Waiting", f"{_SHARE_OF_TIME} Some task waited.", "percentunit",
              [Curve(rate(f"pressure_{kind}_waiting_seconds"), kind) for kind in ("cpu", "memory", "io")],
              width=12),
        graph("Stalled", f"{_SHARE_OF_TIME} All tasks waited at once.", "percentunit",
              [Curve(rate(f"pressure_{kind}_stalled_seconds"), kind) for kind in ("cpu", "memory", "io", "irq")],
              width=12),
    ]  # fmt: skip


def io() -> list[Graph]:
    """I/O by device, beside io.max."""
    return [
        _io("Read", "Bps", "read_bytes", "read_bytes_per_second", "rbps"),
        _io("Written", "Bps", "written_bytes", "write_bytes_per_second", "wbps"),
        _io("Reads", "iops", "reads", "reads_per_second", "riops"),
        _io("Writes", "iops", "writes", "writes_per_second", "wiops"),
        graph("Discarded", "By device.", "Bps", [Curve(rate("io_discarded_bytes"), "{{device}}")]),
        graph("iocost", "Device time by iocost's model; time waited, in debt and delayed for it.", "percentunit", [
            Curve(rate(f"io_cost_{key}_seconds"), f"{{{{device}}}} {key}")
            for key in ("usage", "wait", "indebt", "indelay")
        ]),
    ]  # fmt: skip


def pids() -> list[Graph]:
    """Processes and threads, huge pages, RDMA and scalar resources."""
    return [
        graph("Processes and threads", "Above the limit, fork fails.", "short", [
            Curve(gauge("pids_current"), "now"),
            Curve(gauge("pids_peak"), "peak"),
            limit("pids_max", "pids.max"),
        ], width=6),
        graph("Forks refused", "Per second, at the limit.", "cps", [
            Curve(rate("pids_max_events"), "refused"),
        ], width=6),
        graph("Huge pages", "Huge pages in use, by size.", "bytes", [
            Curve(gauge("hugetlb_current_bytes"), "{{page_size}}"),
            limit("hugetlb_max_bytes", "{{page_size}}"),
        ], width=6),
        graph("Other resources", "Scalar resources and RDMA handles.", "short", [
            Curve(gauge("misc_current"), "{{resource}}"),
            limit("misc_max", "{{resource}}"),
            Curve(gauge("rdma_handles_current"), "{{device}} handles"),
        ], width=6),
    ]  # fmt: skip


def _part(key: str) -> Curve:
    return Curve(gauge(f"memory_stat_{key}_bytes"), key.replace("_", " "))


def _io(title: str, unit: str, counter: str, most: str, key: str) -> Graph:
    lines = [Curve(rate(f"io_{counter}"), "{{device}}"), limit(f"io_max_{most}", f"{{{{device}}}} {key}")]
    return graph(title, f"By device, beside io.max {key}.", unit, lines)
