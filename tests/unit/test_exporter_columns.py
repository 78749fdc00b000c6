"""From a figure's place in the kernel's files to the family that shows it, and which files are read for it."""

from __future__ import annotations

import pytest

from rctl.sample.layout import FigurePlace
from rctl_exporter.files_to_read import ask
from rctl_exporter.settings import COLLECTORS, PROFILES, Selection

from .exporter_frames import FULL, family_of

FILES = [
    "cgroup.controllers", "cgroup.events", "cgroup.procs", "cgroup.stat", "cpu.max", "cpu.pressure", "cpu.stat",
    "cpu.stat.local", "hugetlb.1GB.current", "hugetlb.2MB.current", "hugetlb.2MB.events", "hugetlb.2MB.events.local",
    "hugetlb.2MB.max", "hugetlb.2MB.rsvd.current", "io.pressure", "io.stat", "irq.pressure", "memory.current",
    "memory.events", "memory.events.local", "memory.max", "memory.numa_stat", "memory.peak", "memory.pressure",
    "memory.stat", "memory.swap.current", "memory.swap.events", "memory.zswap.current", "misc.current", "pids.current",
    "pids.events", "pids.max", "pids.peak", "rdma.current",
]  # fmt: skip


class TestPlace:
    @pytest.mark.parametrize(
        ("file", "line", "key", "name", "label"),
        [
            ("cpu.stat", "", "usage_usec", "rctl_ve_cpu_usage_seconds_total", ""),
            ("cpu.stat", "", "core_sched.force_idle_usec", "rctl_ve_cpu_core_sched_force_idle_seconds_total", ""),
            ("cpu.stat.local", "", "throttled_usec", "rctl_ve_cpu_local_throttled_seconds_total", ""),
            ("memory.current", "", "", "rctl_ve_memory_current_bytes", ""),
            ("memory.events", "", "oom_kill", "rctl_ve_memory_events_oom_kill_total", ""),
            ("memory.events.local", "", "oom_kill", "rctl_ve_memory_events_local_oom_kill_total", ""),
            ("memory.stat", "", "anon", "rctl_ve_memory_stat_anon_bytes", ""),
            ("memory.stat", "", "sec_pagetables", "rctl_ve_memory_stat_secondary_pagetables_bytes", ""),
            ("memory.stat", "", "workingset_refault_file", "rctl_ve_memory_stat_workingset_refault_file_total", ""),
            ("memory.stat", "", "pgdemote_kswapd", "rctl_ve_memory_stat_pgdemote_kswapd_total", ""),
            ("memory.numa_stat", "anon", "N0", "rctl_ve_memory_numa_anon_bytes", "0"),
            ("memory.numa_stat", "file", "N12", "rctl_ve_memory_numa_file_bytes", "12"),
            ("irq.pressure", "full", "total", "rctl_ve_pressure_irq_stalled_seconds_total", ""),
            ("io.pressure", "some", "total", "rctl_ve_pressure_io_waiting_seconds_total", ""),
            ("io.stat", "8:0", "wbytes", "rctl_ve_io_written_bytes_total", "8:0"),
            ("io.stat", "259:1048575", "cost.indelay", "rctl_ve_io_cost_indelay_seconds_total", "259:1048575"),
            ("hugetlb.2MB.current", "", "", "rctl_ve_hugetlb_current_bytes", "2MB"),
            ("hugetlb.1GB.events", "", "max", "rctl_ve_hugetlb_max_events_total", "1GB"),
            ("rdma.current", "mlx4_0", "hca_handle", "rctl_ve_rdma_handles_current", "mlx4_0"),
            ("misc.current", "", "sev_es", "rctl_ve_misc_current", "sev_es"),
            ("pids.events", "", "max", "rctl_ve_pids_max_events_total", ""),
            ("cgroup.stat", "", "nr_dying_descendants", "rctl_ve_dying_descendants", ""),
        ],
    )
    def test_a_figure_has_a_family_and_its_own_label(
        self, file: str, line: str, key: str, name: str, label: str
    ) -> None:
        found = family_of(file, line, key)
        assert (found.family.sample, found.label) == (name, label)

    @pytest.mark.parametrize(
        ("file", "line", "key"),
        [
            ("cpu.stat", "", "made_up_usec"),
            ("cpu.pressure", "some", "avg10"),
            ("irq.pressure", "some", "total"),
            ("memory.stat", "", "made_up"),
            ("memory.stat", "", "pgodd-key"),
            ("memory.stat", "", "pgodd{key}"),
            ("memory.numa_stat", "unheard_of", "N0"),
            ("io.stat", "(unknown)", "rbytes"),
            ("io.stat", "8:0", "made_up"),
            ("io.stat", "", "rbytes"),
            ("rdma.current", "mlx4_0", "made_up"),
        ],
    )
    def test_what_has_no_known_meaning_is_nowhere(self, file: str, line: str, key: str) -> None:
        assert family_of(file, line, key) is None

    def test_core_shows_less_than_full(self) -> None:
        assert family_of("cpu.stat", "", "usage_usec", PROFILES["core"]) is not None
        assert family_of("cpu.stat", "", "nice_usec", PROFILES["core"]) is None

    def test_a_collector_that_is_left_out_shows_nothing(self) -> None:
        without = Selection("full", FULL.collectors - {"io"})
        assert family_of("io.stat", "8:0", "rbytes", without) is None


class TestAsk:
    def read(self, selection: Selection) -> list[list[str]]:
        return [list(part) for part in ask(selection).files(tuple(FILES))]

    def test_full_reads_every_file_with_figures_once_and_none_with_limits(self) -> None:
        found = [name for part in self.read(FULL) for name in part]
        assert len(found) == len(set(found))
        assert set(FILES) - set(found) == {
            "cgroup.controllers", "cgroup.procs", "cpu.max", "hugetlb.2MB.events.local", "hugetlb.2MB.max",
            "hugetlb.2MB.rsvd.current", "memory.max", "pids.max",
        }  # fmt: skip

    def test_files_that_differ_by_device_are_read_apart_from_the_others(self) -> None:
        assert ["io.stat", "memory.numa_stat", "misc.current", "rdma.current"] in self.read(FULL)

    def test_numa_is_not_read_unless_it_is_asked_for(self) -> None:
        assert not any("memory.numa_stat" in part for part in self.read(PROFILES["full"]))

    def test_core_reads_no_file_that_only_full_needs(self) -> None:
        found = {name for part in self.read(PROFILES["core"]) for name in part}
        assert found.isdisjoint({"cgroup.stat", "cpu.stat.local", "memory.numa_stat", "misc.current", "rdma.current"})

    def test_the_working_set_needs_two_files_of_one_part(self) -> None:
        for part in self.read(Selection("core", frozenset({"memory"}))):
            assert ("memory.current" in part) == ("memory.stat" in part)
        assert ask(PROFILES["core"]).figures(FigurePlace("memory.stat", "", "inactive_file"))
        assert not ask(PROFILES["core"]).figures(FigurePlace("memory.stat", "", "active_file"))

    def test_what_is_not_there_is_not_asked_for(self) -> None:
        assert [
            list(part)
            for part in ask(FULL).files(
                (
                    "cgroup.procs",
                    "cpu.stat",
                )
            )
        ] == [["cpu.stat"]]
        assert not ask(FULL).files(("cgroup.procs",))

    @pytest.mark.parametrize("collector", COLLECTORS)
    def test_each_collector_alone_reads_no_more_than_all_do(self, collector: str) -> None:
        alone = {name for part in self.read(Selection("full", frozenset({collector}))) for name in part}
        assert alone <= {name for part in self.read(FULL) for name in part}

    def test_no_collector_reads_nothing(self) -> None:
        assert self.read(Selection("full", frozenset())) == []

    def test_processes_are_counted_in_full_alone(self) -> None:
        assert (ask(FULL).processes, ask(PROFILES["core"]).processes) == (True, False)
