"""What the exporter must show of a VE, worked out from the kernel's files by another hand than the exporter's own."""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics

from rctl_exporter.scrape import Scraper
from tests.kernel.helpers import MOUNT, content

Key = tuple[str, str]
"""A sample's name without `rctl_ve_`, and the value of its family's own label (device, node, page_size, setting)."""
Figures = dict[Key, float]
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")

MICRO = 1e6
COUNTERS = {
    "cpu.stat": {
        "usage_usec": "cpu_usage_seconds",
        "user_usec": "cpu_user_seconds",
        "system_usec": "cpu_system_seconds",
        "nice_usec": "cpu_nice_seconds",
        "throttled_usec": "cpu_throttled_seconds",
        "burst_usec": "cpu_burst_seconds",
        "core_sched.force_idle_usec": "cpu_core_sched_force_idle_seconds",
        "nr_periods": "cpu_periods",
        "nr_throttled": "cpu_throttled_periods",
        "nr_bursts": "cpu_bursts",
    },
    "cpu.stat.local": {"throttled_usec": "cpu_local_throttled_seconds"},
    "memory.events": {
        key: f"memory_events_{key}"
        for key in ("low", "high", "max", "oom", "oom_kill", "oom_group_kill", "sock_throttled")
    },
    "memory.events.local": {
        key: f"memory_events_local_{key}"
        for key in ("low", "high", "max", "oom", "oom_kill", "oom_group_kill", "sock_throttled")
    },
    "memory.swap.events": {key: f"swap_events_{key}" for key in ("high", "max", "fail")},
    "pids.events": {"max": "pids_max_events"},
}
GAUGES = {
    "cgroup.events": {"populated": "populated", "frozen": "frozen"},
    "cgroup.stat": {"nr_descendants": "descendants", "nr_dying_descendants": "dying_descendants"},
}
NUMBERS = {
    "memory.current": "memory_current_bytes",
    "memory.peak": "memory_peak_bytes",
    "memory.swap.current": "swap_current_bytes",
    "memory.swap.peak": "swap_peak_bytes",
    "memory.zswap.current": "zswap_current_bytes",
    "pids.current": "pids_current",
    "pids.peak": "pids_peak",
    "memory.min": "memory_min_bytes",
    "memory.low": "memory_low_bytes",
    "memory.high": "memory_high_bytes",
    "memory.max": "memory_max_bytes",
    "memory.oom.group": "memory_oom_group",
    "memory.swap.high": "swap_high_bytes",
    "memory.swap.max": "swap_max_bytes",
    "memory.zswap.max": "zswap_max_bytes",
    "memory.zswap.writeback": "zswap_writeback",
    "cpu.weight": "cpu_weight",
    "cpu.idle": "cpu_idle",
    "pids.max": "pids_max",
}
DEVICE = {
    "rbytes": "io_read_bytes",
    "wbytes": "io_written_bytes",
    "dbytes": "io_discarded_bytes",
    "rios": "io_reads",
    "wios": "io_writes",
    "dios": "io_discards",
}
DEVICE_TIMES = {f"cost.{key}": f"io_cost_{key}_seconds" for key in ("usage", "wait", "indebt", "indelay")}
RATES = {
    "rbps": "io_max_read_bytes_per_second",
    "wbps": "io_max_write_bytes_per_second",
    "riops": "io_max_reads_per_second",
    "wiops": "io_max_writes_per_second",
}
SHOWN = ("cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma", "misc", "irq")
"""How the names of the files begin that are shown, besides those of GAUGES."""
EVENTS = ("workingset_", "pg", "thp_", "zswp", "swpin_", "swpout_", "numa_", "drop_")
"""How the keys of memory.stat begin that count events; all others are bytes."""
CORE = {
    "populated", "frozen",
    "cpu_usage_seconds_total", "cpu_user_seconds_total", "cpu_system_seconds_total", "cpu_throttled_seconds_total",
    "cpu_periods_total", "cpu_throttled_periods_total", "cpu_limit_cores", "cpu_effective_limit_cores",
    "memory_current_bytes", "memory_peak_bytes", "memory_working_set_bytes", "memory_max_bytes",
    "memory_effective_limit_bytes", "swap_current_bytes", "swap_max_bytes",
    "memory_events_high_total", "memory_events_max_total", "memory_events_oom_total", "memory_events_oom_kill_total",
    "pressure_cpu_waiting_seconds_total", "pressure_cpu_stalled_seconds_total", "pressure_memory_waiting_seconds_total",
    "pressure_memory_stalled_seconds_total", "pressure_io_waiting_seconds_total", "pressure_io_stalled_seconds_total",
    "pressure_irq_stalled_seconds_total",
    "io_read_bytes_total", "io_written_bytes_total", "io_reads_total", "io_writes_total",
    "pids_current", "pids_max", "pids_max_events_total", "limit_drift",
    "limit_not_enforced",
}  # fmt: skip


def shown(scraper: Scraper, om: bool = False) -> dict[str, Figures]:
    """What one scrape shows, by VE, in either format."""
    return read(b"".join(scraper.scrape(om)).decode())


def read(text: str) -> dict[str, Figures]:
    """The samples of a page about VEs, as `by_ve` gives them of what the library reads, in a part of its time."""
    return _by_ve(_samples(text, "rctl_ve_"))


def families(text: str, om: bool = False) -> list[Metric]:
    """A page as prometheus_client reads it."""
    read = openmetrics.text_string_to_metric_families if om else parser.text_string_to_metric_families
    return list(read(text))


def by_ve(metrics: Iterable[Metric]) -> dict[str, Figures]:
    """The samples about VEs. No series may be there twice."""
    return _by_ve((s.name, s.labels, s.value) for m in metrics for s in m.samples if s.name.startswith("rctl_ve_"))


Sample = tuple[str, Mapping[str, str], float]


def _by_ve(samples: Iterable[Sample]) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    for name, labels, value in samples:
        own = [text for label, text in labels.items() if label != "ve"] if name != "rctl_ve_info" else []
        key = name.removeprefix("rctl_ve_"), "".join(own)
        figures = found.setdefault(labels["ve"], {})
        assert key not in figures, f"{name}{labels} twice"
        figures[key] = value
    return found


def _samples(text: str, start: str) -> Iterator[Sample]:
    """Those whose names begin so."""
    for line in text.split("\n"):
        if line.startswith(start):
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            yield name, _labels(labels), float(value)


@cache
def _labels(text: str) -> Mapping[str, str]:
    plain = {"n": "\n"}
    return {
        name: _ESCAPED.sub(lambda found: plain.get(found[1], found[1]), value) for name, value in _LABEL.findall(text)
    }


def own_figures(scraper: Scraper) -> Figures:
    """What the exporter says of its last scrape, its self-metrics: `rctl_` is left out of the names."""
    return {
        (name.removeprefix("rctl_"), labels.get("setting", labels.get("collector", ""))): value
        for name, labels, value in _samples(scraper.own.page(False).decode(), "rctl_")
    }


def truth(ve: Path, *, numa: bool = False) -> Figures:
    """What the files of a cgroup say now, but for start time, drift and enforcement."""
    there = _texts(ve, [name for name in os.listdir(ve) if name in GAUGES or name.partition(".")[0] in SHOWN])
    found: Figures = {("info", ""): 1.0, ("processes_current", ""): _processes(ve)} | _figures(there)
    if numa:
        found |= _nodes(there.get("memory.numa_stat", ""))
    stat = _flat(there.get("memory.stat", ""))
    if stat:
        current = int(there["memory.current"])
        found["memory_working_set_bytes", ""] = max(0, current - stat["inactive_file"])
    return found | _effective(ve)


def events(ve: Path) -> Figures:
    """What the files of a cgroup's events say now."""
    return _figures(_texts(ve, [name for name in os.listdir(ve) if ".events" in name]))


def _texts(ve: Path, names: Iterable[str]) -> dict[str, str]:
    texts = {name: _read(f"{ve}/{name}") for name in names}
    return {name: text for name, text in texts.items() if text is not None}


def _figures(there: Mapping[str, str]) -> Figures:
    found: Figures = {}
    for name, text in there.items():
        found |= _keyed(name, text) | _limits(name, text) | _lines(name, text)
        if name in NUMBERS:
            found[NUMBERS[name], ""] = number(text)
    return found


def core(figures: Mapping[Key, float]) -> Figures:
    """Those of the profile core."""
    return {key: value for key, value in figures.items() if key[0] in CORE | {"info"}}


COMPUTED = ("limit_drift", "limit_not_enforced")
"""What depends on more than the files of the cgroups."""


def without(figures: Mapping[Key, float], *names: str) -> Figures:
    """Figures without those of some names."""
    return {key: value for key, value in figures.items() if key[0] not in names}


def check(figures: Figures, before: Figures, after: Figures) -> None:
    """Just the figures that the files held, each between its values before and after."""
    assert before.keys() == after.keys(), "the VE changed too much meanwhile"
    figures = without(figures, *COMPUTED)
    assert sorted(figures) == sorted(before)
    low_high = {key: sorted((before[key], after[key])) for key in before}
    wrong = {k: (v, low_high[k]) for k, v in figures.items() if not low_high[k][0] <= v <= low_high[k][1]}
    assert wrong == {}


def number(text: str) -> float:
    """A limit's value; `max` is no limit."""
    return math.inf if text.strip() == "max" else float(text)


def disk_name(device: str) -> str:
    """The kernel's name of MAJOR:MINOR."""
    lines = Path("/sys/dev/block", device, "uevent").read_text().split("\n")
    return dict(line.split("=") for line in lines if line)["DEVNAME"]


def _read(path: str | Path) -> str | None:
    try:
        return content(str(path))
    except OSError:  # write-only, or not for this cgroup
        return None


def _flat(text: str) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def _keyed(name: str, text: str) -> Figures:
    """Files of a key and its value on each line."""
    if name in COUNTERS:
        wanted = COUNTERS[name]
        return {
            (f"{wanted[key]}_total", ""): value / (MICRO if key.endswith("_usec") else 1)
            for key, value in _flat(text).items()
            if key in wanted
        }
    if name in GAUGES:
        return {(GAUGES[name][key], ""): value for key, value in _flat(text).items() if key in GAUGES[name]}
    if name == "memory.stat":
        return {_memory_key(key): value for key, value in _flat(text).items()}
    if name == "misc.current":
        return {("misc_current", key): value for key, value in _flat(text).items()}
    return {}


def _memory_key(key: str) -> Key:
    if key.startswith(EVENTS):
        return f"memory_stat_{key}_total", ""
    return f"memory_stat_{key.replace('sec_pagetables', 'secondary_pagetables')}_bytes", ""


def _lines(name: str, text: str) -> Figures:
    """Files of pairs on each line: pressure, io.stat, rdma; and those of huge pages."""
    found: Figures = {}
    part = name.split(".")
    rows = [
        (line.split()[0], dict(p.split("=") for p in line.split()[1:])) for line in text.splitlines() if "=" in line
    ]
    if name.endswith(".pressure") and name != "cgroup.pressure":
        words = {"some": "waiting", "full": "stalled"}
        for line, pairs in rows:
            found[f"pressure_{part[0]}_{words[line]}_seconds_total", ""] = int(pairs["total"]) / MICRO
    elif name == "io.stat":
        for device, pairs in rows:
            disk = disk_name(device)
            found |= {(f"{DEVICE[key]}_total", disk): int(v) for key, v in pairs.items() if key in DEVICE}
            found |= {(f"{DEVICE_TIMES[k]}_total", disk): int(v) / MICRO for k, v in pairs.items() if k in DEVICE_TIMES}
    elif name == "rdma.current":
        found |= {("rdma_handles_current", device): int(pairs["hca_handle"]) for device, pairs in rows}
    elif part[0] == "hugetlb" and part[2:] == ["current"]:
        found["hugetlb_current_bytes", part[1]] = int(text)
    elif part[0] == "hugetlb" and part[2:] == ["events"]:
        found["hugetlb_max_events_total", part[1]] = _flat(text)["max"]
    return found


def _limits(name: str, text: str) -> Figures:
    words = text.split()
    if name == "cpu.max":
        return {("cpu_limit_cores", ""): quota(text), ("cpu_period_seconds", ""): int(words[1]) / MICRO}
    if name == "cpu.max.burst":
        return {("cpu_burst_limit_seconds", ""): int(text) / MICRO}
    if name == "cpuset.cpus.effective":
        return {("cpuset_effective_cpus", ""): cpus(text)}
    if name == "io.weight":
        return {("io_weight", ""): int(dict(line.split() for line in text.splitlines())["default"])}
    if name == "misc.max":
        return {("misc_max", line.split()[0]): number(line.split()[1]) for line in text.splitlines()}
    if name.startswith("hugetlb.") and name.split(".")[2:] == ["max"]:
        return {("hugetlb_max_bytes", name.split(".")[1]): number(text)}
    if name == "io.max":
        lines = [line.split() for line in text.splitlines()]
        pairs = [(disk_name(line[0]), *pair.split("=")) for line in lines for pair in line[1:]]
        return {(RATES[key], disk): number(value) for disk, key, value in pairs}
    if name == "io.latency":
        lines = [line.split() for line in text.splitlines()]
        targets = [(disk_name(line[0]), line[1].removeprefix("target=")) for line in lines]
        return {("io_latency_target_seconds", disk): int(value) / MICRO for disk, value in targets}
    return {}


def _nodes(text: str) -> Figures:
    found: Figures = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        if kind in ("anon", "file"):
            found |= {(f"memory_numa_{kind}_bytes", p.split("=")[0][1:]): int(p.split("=")[1]) for p in pairs}
    return found


def quota(text: str) -> float:
    """CPUs that a cpu.max allows."""
    most, period = text.split()
    return math.inf if most == "max" else int(most) / int(period)


def cpus(text: str) -> int:
    """How many CPUs a list names."""
    ends = [part.split("-") for part in text.strip().split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def _processes(ve: Path) -> int:
    return sum(len((Path(folder) / "cgroup.procs").read_text().split()) for folder, _, _ in os.walk(ve))


def _effective(ve: Path) -> Figures:
    """The tightest limit on the way up to the host."""
    way = [path for path in (ve, *ve.parents) if path == MOUNT or MOUNT in path.parents]
    online = cpus(Path("/sys/devices/system/cpu/online").read_text())
    lists = [cpus(text) for path in way if (text := _read(path / "cpuset.cpus.effective")) is not None]
    shares = [quota(text) for path in way if (text := _read(path / "cpu.max")) is not None]
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    most = [number(text) for path in way if (text := _read(path / "memory.max")) is not None]
    return {
        ("cpu_effective_limit_cores", ""): min([*shares, (lists or [online])[0]]),
        ("memory_effective_limit_bytes", ""): min([*most, total]),
    }
