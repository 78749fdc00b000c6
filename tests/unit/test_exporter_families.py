"""The metric families: their names, types and words, and how many series a VE has."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rctl.sample.layout import Layout
from rctl.sample.limits_in_force import Standing
from rctl.sample.sweep import Group
from rctl_exporter import memory_stat
from rctl_exporter.columns import FAMILIES, wanted
from rctl_exporter.files_to_read import ask
from rctl_exporter.frame import Figures, frame, identity_blocks, limit_blocks, process_blocks
from rctl_exporter.limit_families import values
from rctl_exporter.page import Page
from rctl_exporter.self_metrics import Own
from rctl_exporter.settings import COLLECTORS, PROFILES, Selection

from .exporter_frames import member

KEYS = [
    *sorted(memory_stat.BYTES),
    "pgfault", "pgmajfault", "pgscan", "pgsteal", "pgscan_kswapd", "pgsteal_direct", "pgactivate", "pgrefill",
    "pglazyfree", "pgpromote_success", "pgdemote_khugepaged", "workingset_refault_anon", "workingset_nodereclaim",
    "thp_fault_alloc", "thp_swpout_fallback", "zswpin", "zswpwb", "swpin_zero", "swpout_zero", "numa_pages_migrated",
    "numa_pte_updates", "numa_hint_faults",
]  # fmt: skip
ALL = [*FAMILIES, *(found for key in KEYS if (found := memory_stat.family(key)))]

GAUGES = """
    populated frozen processes_current descendants dying_descendants
    cpu_limit_cores cpu_effective_limit_cores cpu_period_seconds cpu_burst_limit_seconds cpu_weight cpu_idle
    cpuset_effective_cpus
    memory_current_bytes memory_peak_bytes memory_working_set_bytes memory_min_bytes memory_low_bytes memory_high_bytes
    memory_max_bytes memory_effective_limit_bytes memory_oom_group
    swap_current_bytes swap_peak_bytes swap_high_bytes swap_max_bytes zswap_current_bytes zswap_max_bytes
    zswap_writeback
    memory_numa_anon_bytes{node} memory_numa_file_bytes{node}
    io_max_read_bytes_per_second{device} io_max_write_bytes_per_second{device} io_max_reads_per_second{device}
    io_max_writes_per_second{device} io_latency_target_seconds{device} io_weight
    pids_current pids_peak pids_max hugetlb_current_bytes{page_size} hugetlb_max_bytes{page_size}
    rdma_handles_current{device} misc_current{resource} misc_max{resource}
    limit_drift{setting} limit_not_enforced{setting,reason}
"""
COUNTERS = """
    cpu_usage_seconds cpu_user_seconds cpu_system_seconds cpu_nice_seconds cpu_throttled_seconds cpu_burst_seconds
    cpu_local_throttled_seconds cpu_core_sched_force_idle_seconds cpu_periods cpu_throttled_periods cpu_bursts
    memory_events_low memory_events_high memory_events_max memory_events_oom memory_events_oom_kill
    memory_events_oom_group_kill memory_events_sock_throttled
    memory_events_local_low memory_events_local_oom_group_kill memory_events_local_sock_throttled
    memory_events_local_high memory_events_local_max memory_events_local_oom memory_events_local_oom_kill
    swap_events_high swap_events_max swap_events_fail
    pressure_cpu_waiting_seconds pressure_cpu_stalled_seconds pressure_memory_waiting_seconds
    pressure_memory_stalled_seconds pressure_io_waiting_seconds pressure_io_stalled_seconds
    pressure_irq_stalled_seconds
    io_read_bytes{device} io_written_bytes{device} io_discarded_bytes{device} io_reads{device} io_writes{device}
    io_discards{device} io_cost_usage_seconds{device} io_cost_wait_seconds{device} io_cost_indebt_seconds{device}
    io_cost_indelay_seconds{device}
    pids_max_events hugetlb_max_events{page_size}
"""
OWN = """
    rctl_build_info rctl_scrape_duration_seconds rctl_scrape_collector_duration_seconds rctl_scrape_collector_success
    rctl_scrape_ves rctl_scrape_read_errors rctl_scrape_unread_ves rctl_scrape_kept_fds rctl_scrape_bytes
    rctl_limit_writes_total rctl_limit_write_errors_total
"""


class TestTheList:
    @pytest.mark.parametrize(("kind", "names"), [("gauge", GAUGES), ("counter", COUNTERS), ("info", "{}")])
    def test_every_family_has_its_type_and_label(self, kind: str, names: str) -> None:
        found = {
            family.name + (f"{{{family.label}}}" if family.label else "") for family in FAMILIES if family.kind == kind
        }
        assert found == (set(names.split()) if kind != "info" else {""})

    def test_the_exporters_own(self) -> None:
        own = Own()
        own.collected("files", 0.1, True)
        own.scraped(
            seconds=1, ves=2, errors=0, unread=0, kept=3, size=4, writes={"memory.max": 1}, failures={"io.max": 2}
        )
        text = own.page(openmetrics=False).decode()
        assert set(OWN.split()) <= set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        assert 'rctl_limit_writes_total{setting="memory.max"} 1.0' in text
        assert 'rctl_limit_write_errors_total{setting="io.max"} 2.0' in text


class TestNames:
    @pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
    def test_a_name_is_snake_case_in_base_units(self, family: memory_stat.Family) -> None:
        assert re.fullmatch(r"rctl_ve(_[a-z0-9]+)*", family.full_name)
        assert not set(family.full_name.split("_")) & {
            "ms", "us", "usec", "msec", "kb", "kib", "mib", "kilobytes", "percent", "gauge", "counter",
        }  # fmt: skip
        assert not re.search(r"_(total|created|bucket|sum|count|info)$", family.full_name)
        assert family.sample.endswith("_total") == (family.kind == "counter")

    @pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
    def test_what_the_kernel_counts_in_microseconds_is_named_seconds(self, family: memory_stat.Family) -> None:
        if family.micro or (family.source and family.source[2].endswith("_usec")):
            assert family.micro
            assert family.name.endswith("_seconds")

    @pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
    def test_its_help_is_one_sentence(self, family: memory_stat.Family) -> None:
        assert re.fullmatch(r"[A-Z][^\n\\]*[.]", family.help)

    def test_no_two_share_a_name(self) -> None:
        shared = [name for name, number in Counter(family.full_name for family in ALL).items() if number > 1]
        assert shared == []
        assert len({family.sample for family in ALL}) == len(ALL)

    @pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
    def test_its_collector_is_one_that_can_be_chosen(self, family: memory_stat.Family) -> None:
        assert family.collector in COLLECTORS

    def test_every_source_is_shown_once(self) -> None:
        sources = Counter(family.source for family in ALL if family.source)
        assert max(sources.values()) == 1


class TestMemoryStat:
    @pytest.mark.parametrize("key", sorted(memory_stat.BYTES))
    def test_amounts_are_gauges_in_bytes(self, key: str) -> None:
        family = memory_stat.family(key)
        assert family
        assert (family.kind, family.name.endswith("_bytes")) == ("gauge", True)

    @pytest.mark.parametrize("key", [key for key in KEYS if key not in memory_stat.BYTES])
    def test_events_are_counters(self, key: str) -> None:
        family = memory_stat.family(key)
        assert family
        assert (family.kind, family.name) == ("counter", f"memory_stat_{key}")

    @pytest.mark.parametrize("key", ["made_up", "", "pg-odd", 'pg"', "pg fault", "zswap_incomp"])
    def test_what_is_not_known_is_left_out(self, key: str) -> None:
        assert memory_stat.family(key) is None


def flat(*keys: str) -> bytes:
    return "".join(f"{key} 1\n" for key in keys).encode()


PSI = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
READ = {
    "cgroup.events": flat("populated", "frozen"),
    "cgroup.stat": flat("nr_descendants", "nr_dying_descendants"),
    "cpu.stat": flat(
        "usage_usec", "user_usec", "system_usec", "nice_usec", "core_sched.force_idle_usec", "nr_periods",
        "nr_throttled", "throttled_usec", "nr_bursts", "burst_usec",
    ),
    "cpu.stat.local": flat("throttled_usec"),
    "cpu.pressure": PSI,
    "memory.pressure": PSI,
    "io.pressure": PSI,
    "irq.pressure": PSI.splitlines(keepends=True)[1],
    "memory.current": b"1\n",
    "memory.peak": b"1\n",
    "memory.stat": flat(
        "anon", "file", "kernel", "kernel_stack", "pagetables", "sec_pagetables", "percpu", "sock", "vmalloc", "shmem",
        "zswap", "zswapped", "file_mapped", "file_dirty", "file_writeback", "swapcached", "anon_thp", "file_thp",
        "shmem_thp", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "slab_reclaimable",
        "slab_unreclaimable", "slab", "workingset_refault_anon", "workingset_refault_file", "workingset_activate_anon",
        "workingset_activate_file", "workingset_restore_anon", "workingset_restore_file", "workingset_nodereclaim",
        "pgdemote_kswapd", "pgdemote_direct", "pgdemote_khugepaged", "pgscan", "pgsteal", "pgscan_kswapd",
        "pgscan_direct", "pgscan_khugepaged", "pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged", "pgfault",
        "pgmajfault", "pgrefill", "pgactivate", "pgdeactivate", "pglazyfree", "pglazyfreed", "swpin_zero",
        "swpout_zero", "zswpin", "zswpout", "zswpwb", "thp_fault_alloc", "thp_collapse_alloc", "thp_swpout",
        "thp_swpout_fallback", "numa_pages_migrated", "numa_pte_updates", "numa_hint_faults",
    ),
    "memory.events": flat("low", "high", "max", "oom", "oom_kill", "oom_group_kill"),
    "memory.events.local": flat("low", "high", "max", "oom", "oom_kill", "oom_group_kill"),
    "memory.swap.current": b"0\n",
    "memory.swap.peak": b"0\n",
    "memory.swap.events": flat("high", "max", "fail"),
    "memory.zswap.current": b"0\n",
    "io.stat": b"8:0 rbytes=1 wbytes=1 rios=1 wios=1 dbytes=1 dios=1\n",
    "pids.current": b"1\n",
    "pids.peak": b"1\n",
    "pids.events": flat("max"),
    "hugetlb.2MB.current": b"0\n",
    "hugetlb.2MB.events": flat("max"),
}  # fmt: skip
LIMITS = {
    "cpu.max": "max 100000\n", "cpu.max.burst": "0\n", "cpu.weight": "100\n", "cpu.idle": "0\n",
    "cpuset.cpus.effective": "0-1\n", "memory.min": "0\n", "memory.low": "0\n", "memory.high": "max\n",
    "memory.max": "max\n", "memory.oom.group": "0\n", "memory.swap.high": "max\n", "memory.swap.max": "max\n",
    "memory.zswap.max": "max\n", "io.max": "8:0 rbps=1 wbps=max riops=max wiops=max\n", "io.weight": "default 100\n",
    "pids.max": "max\n", "hugetlb.2MB.max": "max\n",
}  # fmt: skip
"""What a VE with one disk has on a kernel that has everything but RDMA and encrypted guests."""


def series(selection: Selection) -> list[str]:
    """The sample lines of one VE."""
    from rctl.sample.effective import effective
    from rctl.sample.levels import Level

    ve, asked = member("web1", selection=selection), ask(selection)
    groups = []
    for part in asked.files(tuple(READ)):
        texts = {name: READ[name] for name in part}
        layout = Layout(texts, asked.figures)
        row = layout.row(b"".join(texts.values()))
        assert row is not None
        groups.append(Group(layout, [ve], [row]))
    stands = Standing(LIMITS, effective([Level("/rctl-web1", LIMITS)]))
    blocks = [
        *identity_blocks([ve]),
        *Figures().blocks(groups),
        *limit_blocks({ve: values(stands, {})}),
        *process_blocks({ve: 1} if asked.processes else {}),
    ]
    text = b"".join(Page().render(frame(blocks, lambda device: device), openmetrics=False)).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


class TestHowMany:
    @pytest.mark.parametrize(("profile", "least", "most"), [("core", 33, 45), ("full", 140, 165)])
    def test_a_profile_is_as_large_as_it_says(self, profile: str, least: int, most: int) -> None:
        assert least <= len(series(PROFILES[profile])) <= most  # type: ignore[index]

    @pytest.mark.parametrize("profile", PROFILES)
    def test_no_series_twice(self, profile: str) -> None:
        lines = [line.rpartition(" ")[0] for line in series(PROFILES[profile])]  # type: ignore[index]
        assert len(set(lines)) == len(lines)

    def test_core_is_a_part_of_full(self) -> None:
        assert set(series(PROFILES["core"])) < set(series(PROFILES["full"]))

    def test_each_family_of_core_can_be_had_there(self) -> None:
        assert all(wanted(family, PROFILES["core"]) for family in FAMILIES if family.core)
