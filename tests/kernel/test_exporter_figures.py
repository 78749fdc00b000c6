"""Every figure that the exporter shows of a VE is what the kernel's files hold."""

import math
import os
from pathlib import Path

import pytest

from rctl.cgroupfs import devices
from rctl.cgroupfs.tree import Tree
from rctl.errors import KernelError
from rctl_exporter.scrape import Scraper
from tests.kernel.exporting import AWKWARD, Made, all_true, cgroup_path, give, live, nested, put, take
from tests.kernel.figures import check, core, own_figures, shown, truth
from tests.kernel.helpers import MOUNT, Ve, refused
from tests.kernel.test_hugetlb import pool  # noqa: F401 (a fixture)
from tests.kernel.workload import MIB, burner, disk_user, forker, sleeper, until

SEEN = {
    "populated", "frozen", "processes_current",
    "cpu_usage_seconds_total", "cpu_user_seconds_total", "cpu_system_seconds_total", "cpu_throttled_seconds_total",
    "cpu_periods_total", "cpu_throttled_periods_total",
    "cpu_limit_cores", "cpu_effective_limit_cores", "cpu_period_seconds", "cpu_weight", "cpuset_effective_cpus",
    "memory_current_bytes", "memory_working_set_bytes", "memory_low_bytes", "memory_high_bytes", "memory_max_bytes",
    "memory_effective_limit_bytes", "swap_current_bytes", "swap_max_bytes",
    "memory_events_max_total", "memory_events_oom_total", "memory_events_oom_kill_total",
    "memory_events_local_max_total", "memory_events_local_oom_kill_total",
    "memory_stat_anon_bytes", "memory_stat_kernel_stack_bytes", "memory_stat_pgfault_total", "memory_numa_anon_bytes",
    "pressure_cpu_waiting_seconds_total", "pressure_memory_waiting_seconds_total",
    "pressure_memory_stalled_seconds_total",
    "io_read_bytes_total", "io_written_bytes_total", "io_reads_total", "io_writes_total",
    "io_max_write_bytes_per_second", "io_max_reads_per_second",
    "pids_current", "pids_max", "pids_max_events_total",
    "hugetlb_current_bytes", "hugetlb_max_bytes", "hugetlb_max_events_total",
}  # fmt: skip
"""What a life as in `live` leaves behind on every kernel."""


@pytest.fixture(params=["managed", "foreign"])
def any_ve(request: pytest.FixtureRequest, tree: Tree, place: Path) -> Ve:
    """A managed VE, and a foreign one with an awkward path; both with every controller."""
    give(place)
    if request.param == "foreign":
        return nested(tree, place, *AWKWARD)
    found: Ve = request.getfixturevalue("ve")
    return found


@pytest.mark.usefixtures("pool", "swap")
def test_each_family_is_what_the_files_hold(any_ve: Ve, rawdisk: Path, exporter: Made) -> None:
    live(any_ve, rawdisk, devices.resolve(rawdisk.name))
    before = truth(any_ve.dir, numa=True)
    full = shown(exporter("full,numa"))[any_ve.name]
    small = shown(exporter())[any_ve.name]
    after = truth(any_ve.dir, numa=True)
    check(full, before, after)
    check(small, core(before), core(after))
    assert sorted(SEEN - {name for (name, _), value in full.items() if value}) == []


def test_the_counters_of_a_busy_ve_lie_between_two_readings(ve: Ve, rawdisk: Path, exporter: Made) -> None:
    give(ve.dir.parent)
    put(ve, cpu_max="20000 40000")
    burner(ve.dir)
    disk_user(ve.dir, rawdisk, 64 << 10, write=True)
    until(lambda: "wbytes" in ve.text("io.stat"), "the first use of the disk")
    scraper = exporter("full")
    last = shown(scraper)["web1"]
    for _ in range(5):
        until(lambda: ve.count("cpu.stat", "usage_usec") / 1e6 > last["cpu_usage_seconds_total", ""], "more CPU time")  # noqa: B023
        before, now, after = truth(ve.dir), shown(scraper)["web1"], truth(ve.dir)
        moving = [key for key in before if key[0].endswith("_total")]
        check(*({key: figures[key] for key in moving} for figures in (now, before, after)))
        assert now["cpu_usage_seconds_total", ""] > last["cpu_usage_seconds_total", ""]
        last = now


def test_a_fresh_ve_has_no_limits(ve: Ve, place: Path, exporter: Made) -> None:
    give(place)
    figures = shown(exporter("full"))["web1"]
    names = "cpu_limit_cores", "memory_max_bytes", "memory_high_bytes", "swap_max_bytes", "pids_max"
    assert [figures[name, ""] for name in names] == [math.inf] * 5
    assert figures["hugetlb_max_bytes", "2MB"] == math.inf
    assert not [key for key in figures if key[0].startswith("io_max")]


def test_what_a_limit_above_allows_is_effective(tree: Tree, place: Path, exporter: Made) -> None:
    inner = nested(tree, place, "outer slice", "inner")
    outer = Ve(tree, inner.path.rpartition("/")[0])
    put(outer, memory_max="64M", cpu_max="50000 100000")
    put(inner, memory_max="128M", cpu_max="80000 100000")
    scraper = exporter()
    figures = shown(scraper)[inner.name]
    assert figures["memory_effective_limit_bytes", ""] == 64 * MIB
    assert figures["cpu_effective_limit_cores", ""] == 0.5
    put(inner, memory_max="32M", cpu_max="20000 100000")
    figures = shown(scraper)[inner.name]
    assert (figures["memory_max_bytes", ""], figures["memory_effective_limit_bytes", ""]) == (32 * MIB, 32 * MIB)
    assert figures["cpu_effective_limit_cores", ""] == 0.2


def test_names_are_escaped_and_the_info_says_where_a_ve_lies(tree: Tree, place: Path, ve: Ve, exporter: Made) -> None:
    odd = nested(tree, place, *AWKWARD)
    page = b"".join(exporter().scrape()).decode()
    escaped = odd.path.replace("\\", "\\\\").replace('"', '\\"')
    assert f'rctl_ve_info{{backend="other",cgroup="{escaped}",owner="nobody",ve="{escaped}"}} 1\n' in page
    assert f'rctl_ve_info{{backend="rctl",cgroup="{ve.path}",owner="rctl",ve="web1"}} 1\n' in page


def test_a_name_that_is_no_text_is_shown_all_the_same(tree: Tree, place: Path, exporter: Made) -> None:
    for name in (b"caf\xe9", b"caf\xe8", b"tab\there\r"):
        (place / name.decode("utf-8", "surrogateescape")).mkdir()
    assert len([name for name in shown(exporter()) if "caf" in name or "tab" in name]) == 3


def test_no_start_time_is_shown_for_the_kernel_remembers_none(as_root: None, place: Path, exporter: Made) -> None:
    """A cgroup's folder bears the time at which the kernel last put it into its cache."""
    young = place / "young"
    young.mkdir()
    first = young.stat().st_ctime

    def looked_up_anew() -> bool:
        Path("/proc/sys/vm/drop_caches").write_text("2")
        return young.stat().st_ctime > first + 0.01

    until(looked_up_anew, "the kernel to forget when it was made")
    assert not [name for name, _ in shown(exporter())[cgroup_path(young)] if "start" in name]


def test_processes_of_cgroups_inside_a_ve_are_the_ves(ve: Ve, exporter: Made) -> None:
    scraper = exporter("full")
    sleeper(ve.dir)
    assert shown(scraper)["web1"]["processes_current", ""] == 1
    inside = ve.dir / "a" / "b"
    inside.mkdir(parents=True)
    sleeper(inside)
    assert forker(inside).ask("3") == "3 0"
    figures = shown(scraper)
    assert figures["web1"]["processes_current", ""] == 6
    assert figures["web1"]["descendants", ""] == 2
    assert "web1" in figures
    assert not [name for name in figures if name.endswith("/a")]


def test_processes_of_a_threaded_cgroup_are_not_told(tree: Tree, place: Path, exporter: Made) -> None:
    inner = nested(tree, place, "threaded domain", "inner")
    take(inner.dir.parent, "io", "memory", "hugetlb", "cpuset", "cpu", "pids")
    (inner.dir / "cgroup.type").write_text("threaded")
    figures = shown(exporter("full"))[inner.name]
    inner.dir.rmdir()
    assert ("processes_current", "") not in figures
    assert ("cpu_usage_seconds_total", "") in figures


@pytest.mark.parametrize("watch", [True, False])
def test_drift_is_when_a_limit_is_not_what_rctl_set(ve: Ve, rawdisk: Path, exporter: Made, watch: bool) -> None:
    scraper = exporter(watch=watch)

    def drift() -> dict[str, float]:
        return {label: value for (name, label), value in shown(scraper)["web1"].items() if name == "limit_drift"}

    assert drift() == {}
    ve.set({"pids.max": 50, f"io.max.{rawdisk.name}.wbps": "1M"})
    disk = f"io.max {rawdisk.name}"
    assert drift() == {"pids.max": 0, disk: 0}
    put(ve, pids_max="60")
    assert drift() == {"pids.max": 1, disk: 0}
    put(ve, io_max=f"{devices.resolve(rawdisk.name)} wbps=max")
    assert drift() == {"pids.max": 1, disk: 1}
    ve.set({"pids.max": 50})
    assert drift() == {"pids.max": 0, disk: 1}
    ve.set({f"io.max.{rawdisk.name}.wbps": "2M"})
    assert drift() == {"pids.max": 0, disk: 0}


def test_what_rctl_writes_and_cannot_write_is_counted(ve: Ve, exporter: Made) -> None:
    ve.set({"pids.max": 40})

    def counted(scraper: Scraper) -> dict[tuple[str, str], float]:
        scraper.scrape()
        return {key: value for key, value in own_figures(scraper).items() if key[0].startswith("limit_")}

    scraper = exporter()
    assert counted(scraper) == {}
    ve.set({"pids.max": 50, "cpu.weight": 20})
    with refused(KernelError, "cgroup.max.depth", ve):
        ve.set({"files.cgroup.max.depth": "deep"})
    assert counted(scraper) == {
        ("limit_writes_total", "pids.max"): 1,
        ("limit_writes_total", "cpu.weight"): 1,
        ("limit_write_errors_total", "cgroup.max.depth"): 1,
    }


def test_device_time_by_the_cost_model(as_root: None, ve: Ve, rawdisk: Path, exporter: Made) -> None:
    device = devices.resolve(rawdisk.name)
    qos = MOUNT / "io.cost.qos"
    give(MOUNT)
    qos.write_text(f"{device} enable=1")
    try:
        worker = disk_user(ve.dir, rawdisk, 4 << 10, write=True)
        until(lambda: "wios=" in ve.text("io.stat"), "the first use of the disk")
        if os.environ["LAB_KERNEL"] != "5.10":  # which tells of it only when debugged
            until(lambda: "cost.usage=" in ve.text("io.stat"), "device time")
        worker.kill()
        before, figures, after = truth(ve.dir), shown(exporter("full"))["web1"], truth(ve.dir)
        check(figures, before, after)
    finally:
        qos.write_text(f"{device} enable=0")


def test_ves_with_different_controllers_are_not_mixed_up(tree: Tree, place: Path, exporter: Made) -> None:
    for name, controller in (("only pids", "pids"), ("only huge", "hugetlb"), ("only memory", "memory")):
        ve = nested(tree, place, name, "inner")
        take(
            ve.dir.parent,
            *(other for other in ("cpuset", "cpu", "io", "memory", "hugetlb", "pids") if other != controller),
        )
    all_true(exporter("full"), tree, place)
    all_true(exporter("pids,hugetlb,identity,limits,cpu,io,memory,memory_stat,pressure"), tree, place)
