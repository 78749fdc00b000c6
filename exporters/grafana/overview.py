"""The first row: the number of VEs, present problems, and the VEs that use most, with their limits beside."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph

from .parts import HOSTS, Curve, Field, gauge, graph, rate, stat, table

_NESTED = "A cgroup and one below it both count."
_ROW = {"ve": "VE", "instance": "Host"}

_CPU = rate("cpu_usage_seconds", HOSTS)
_PERIODS = f"{rate('cpu_throttled_periods', HOSTS)} / ({rate('cpu_periods', HOSTS)} > 0)"
_MEMORY = gauge("memory_working_set_bytes", HOSTS)
_MEMORY_SHARE = f"{_MEMORY} / ({gauge('memory_effective_limit_bytes', HOSTS)} > 0)"
_PIDS = gauge("pids_current", HOSTS)


def stats() -> list[Stat]:
    """The present problems, as numbers."""
    return [
        stat("VEs", "VEs and other cgroups that are exported.", f"count({gauge('info', HOSTS)}) or vector(0)"),
        stat("Running", "VEs that have a process.", f"sum({gauge('populated', HOSTS)}) or vector(0)"),
        stat("Hosts", "Hosts whose exporter answers.", 'count(up{job="rctl",instance=~"$instance"} == 1) or vector(0)'),
        stat("Throttled", "VEs throttled in over a quarter of their periods.",
             f"count({_PERIODS} > 0.25) or vector(0)", levels=(1, 10)),
        stat("Near memory limit", "VEs whose working set is over 90 % of their effective limit.",
             f"count({_MEMORY_SHARE} > 0.9) or vector(0)", levels=(1, 5)),
        stat("Killed", "Processes killed by the OOM killer in the time shown. A kill also counts in cgroups above.",
             f"sum(round(increase(rctl_ve_memory_events_oom_kill_total{HOSTS}[$__range]))) or vector(0)",
             levels=(1, 5)),
        stat("Forks refused", "Forks refused at pids.max in the time shown.",
             f"sum(round(increase(rctl_ve_pids_max_events_total{HOSTS}[$__range]))) or vector(0)", levels=(1, 100)),
        stat("Drifting limits", "Limits that are no longer the value that rctl last set.",
             f"sum({gauge('limit_drift', HOSTS)}) or vector(0)", levels=(1, 10)),
    ]  # fmt: skip


def graphs() -> list[Graph]:
    """Graphs by host, and the VEs that wait most."""
    return [
        graph("CPU by host", f"CPU time of VEs, in CPUs. {_NESTED}", "short",
              [Curve(f"sum by (instance) ({_CPU})", "{{instance}}")]),
        graph("Memory by host", f"Memory in use without inactive file cache. {_NESTED}", "bytes",
              [Curve(f"sum by (instance) ({_MEMORY})", "{{instance}}")]),
        graph("VEs that wait most", "Share of the time in which all tasks waited at once; this alone is no alarm.",
              "percentunit", [_most_waiting(kind) for kind in ("cpu", "memory", "io")]),
    ]  # fmt: skip


def tables() -> list[Table]:
    """The VEs that use most, with their limits."""
    return [
        table("Top CPU", "CPU time, in CPUs; the effective limit is the tightest up to the host.", _ROW, [
            Field(_most(_CPU, _CPU), "Used", "short"),
            Field(_most(f"{gauge('cpu_effective_limit_cores', HOSTS)} < Inf", _CPU), "Limit", "short"),
            Field(_most(f"{_CPU} / ({gauge('cpu_effective_limit_cores', HOSTS)} > 0)", _CPU), "Of limit",
                   "percentunit", (0.8, 0.95)),
            Field(_most(_PERIODS, _CPU), "Throttled", "percentunit", (0.05, 0.25)),
        ]),
        table("Top memory", "Working set: memory without inactive file cache, which the kernel frees first.", _ROW, [
            Field(_most(_MEMORY, _MEMORY), "Working set", "bytes"),
            Field(_most(gauge("memory_current_bytes", HOSTS), _MEMORY), "Used", "bytes"),
            Field(_most(f"{gauge('memory_effective_limit_bytes', HOSTS)} < Inf", _MEMORY), "Limit", "bytes"),
            Field(_most(_MEMORY_SHARE, _MEMORY), "Of limit", "percentunit", (0.8, 0.9)),
            Field(_most(gauge("swap_current_bytes", HOSTS), _MEMORY), "Swap", "bytes"),
        ]),
        table("Top I/O", "Bytes read and written per second, all devices.", _ROW, [
            Field(_most(_io("read_bytes", "written_bytes"), _io("read_bytes", "written_bytes")), "Bytes", "Bps"),
            Field(_most(_io("reads", "writes"), _io("read_bytes", "written_bytes")), "Operations", "iops"),
            Field(_most(rate("pressure_io_stalled_seconds", HOSTS), _io("read_bytes", "written_bytes")), "Stalled",
                   "percentunit", (0.1, 0.3)),
        ]),
        table("Top processes and threads", "Above the limit, fork fails.", _ROW, [
            Field(_most(_PIDS, _PIDS), "Now", "short"),
            Field(_most(f"{gauge('pids_max', HOSTS)} < Inf", _PIDS), "Limit", "short"),
            Field(_most(f"{_PIDS} / ({gauge('pids_max', HOSTS)} > 0)", _PIDS), "Of limit", "percentunit", (0.8, 0.9)),
            Field(_most(f"round(increase(rctl_ve_pids_max_events_total{HOSTS}[$__range]))", _PIDS), "Refused", "short",
                   (1, 100)),
        ]),
    ]  # fmt: skip


def _most(expr: str, by: str) -> str:
    """``expr`` of the VEs with the highest ``by``."""
    return f"max by (instance, ve) ({expr}) and on (instance, ve) topk($top, max by (instance, ve) ({by}))"


def _io(one: str, two: str) -> str:
    return f"sum by (instance, ve) ({rate(f'io_{one}', HOSTS)} + {rate(f'io_{two}', HOSTS)})"


def _most_waiting(kind: str) -> Curve:
    """The VEs that wait most at the end of the time shown, so that the lines stay the same throughout."""
    now = rate(f"pressure_{kind}_stalled_seconds", HOSTS)
    last = now.replace("]", "] @ end()")
    return Curve(f"{now} and on (instance, ve) topk($top, {last})", f"{{{{ve}}}} {kind} ({{{{instance}}}})")
