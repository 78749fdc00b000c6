"""Limits in force that the host does not enforce: it really does not, and set, show, doctor and the exporter say so."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.helpers import Ve
from tests.kernel.sched_ext import STATE, loaded
from tests.kernel.shell import rctl
from tests.kernel.test_caveats import no_swap
from tests.kernel.workload import MIB, burner, huge, until, window

POOL = Path("/proc/sys/vm/nr_hugepages")
SIZE = 2 * MIB


def told_everywhere(ve: Ve, limit: str, reason: str, words: str) -> None:
    """Show, doctor and the exporter tell it."""
    assert words in rctl("show", ve.name).out
    assert words in " ".join(rctl("doctor").out.split())
    line = f'rctl_ve_limit_not_enforced{{setting="{limit}",reason="{reason}",ve="{ve.name}"}} 1\n'
    assert line in rctl("exporter", "once").out


def told_nowhere(ve: Ve) -> None:
    assert "not enforced" not in rctl("show", ve.name).out
    assert f"of {ve.name}: not enforced" not in " ".join(rctl("doctor").out.split())
    assert f've="{ve.name}"' not in "".join(
        line for line in rctl("exporter", "once").out.splitlines() if "limit_not_enforced" in line
    )


def used(ve: Ve, seconds: float) -> float:
    """The CPUs that the VE uses in a time."""
    before = ve.count("cpu.stat", "usage_usec")
    real = window(seconds)
    return (ve.count("cpu.stat", "usage_usec") - before) / 1e6 / real


def test_a_real_time_thread_passes_cpu_max_and_that_is_told(ve: Ve) -> None:
    worker = burner(ve.dir)
    assert ve.set({"cpu.max": 0.1}).notes == ()
    assert used(ve, 1) < 0.3
    told_nowhere(ve)
    os.sched_setscheduler(worker.pid, os.SCHED_RR, os.sched_param(1))
    assert used(ve, 1) > 0.5
    words = "cpu.max does not hold 1 of its threads, with a real-time or deadline policy"
    (note,) = ve.set({"cpu.max": 0.2}).notes
    assert note.startswith(f"{ve.name}: {words}")
    told_everywhere(ve, "cpu.max", "policy", words)
    assert f"chrt --other -p 0 {worker.pid}" in note
    os.sched_setscheduler(worker.pid, os.SCHED_OTHER, os.sched_param(0))
    assert used(ve, 1) < 0.4
    told_nowhere(ve)


def test_a_real_time_thread_in_a_cgroup_below_counts(ve: Ve) -> None:
    (ve.dir / "below").mkdir()
    worker = burner(ve.dir / "below")
    os.sched_setscheduler(worker.pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    (note,) = ve.set({"cpu.max": 0.2}).notes
    assert "cpu.max does not hold 1 of its threads" in note
    worker.kill()
    until(lambda: not (ve.dir / "below" / "cgroup.procs").read_text(), "the end of the process")
    (ve.dir / "below").rmdir()


@pytest.mark.usefixtures("swap", "as_root")
def test_swap_that_the_host_lost(ve: Ve) -> None:
    ve.set({"memory.swap.max": "64M"})
    told_nowhere(ve)
    with no_swap():
        told_everywhere(ve, "memory.swap.max", "no_swap", "memory.swap.max is 64M, and this host has no swap")
        ve.set({"memory.swap.max": "max"})
        told_nowhere(ve)


@pytest.fixture
def pool(as_root: None) -> Iterator[None]:
    before = POOL.read_text()
    POOL.write_text("8")
    yield
    POOL.write_text(before)


@pytest.mark.usefixtures("pool")
def test_huge_pages_that_memory_max_does_not_count(ve: Ve) -> None:
    ve.set({"hugetlb.2MB": 6 * SIZE, "memory.max": 4 * SIZE})
    told_nowhere(ve)
    worker = huge(ve.dir, 5, SIZE)
    assert worker.answer() == "5", "more than memory.max"
    words = "memory.max does not count 10M of huge pages that the VE uses"
    told_everywhere(ve, "memory.max", "huge_pages", words)
    (note,) = ve.set({"memory.max": 3 * SIZE}).notes
    assert note.startswith(f"{ve.name}: {words}")
    worker.kill()
    until(lambda: ve.number("hugetlb.2MB.current") == 0, "the pages to be given back")
    told_nowhere(ve)


@pytest.mark.usefixtures("as_root")
def test_a_sched_ext_scheduler_takes_no_notice_of_cpu_max(ve: Ve) -> None:
    """Linux 7 has sched_ext in the lab. Under a scheduler that heeds no limit, none is felt."""
    if not STATE.exists():
        assert "sched_ext" in rctl("doctor").out
        assert "not in this kernel" in rctl("doctor").out
        return
    burner(ve.dir)
    assert ve.set({"cpu.max": 0.1, "cpu.weight": 200}).notes == ()
    assert used(ve, 1) < 0.3
    told_nowhere(ve)
    with loaded("rctl_test"):
        assert used(ve, 1) > 0.5
        words = "cpu.max: the sched_ext scheduler rctl_test runs this host: without effect"
        window(0.06)  # what is known of the host lasts for a moment
        (note,) = ve.set({"cpu.max": 0.2}).notes
        assert note.startswith(words)
        told_everywhere(ve, "cpu.max", "sched_ext", words)
        told_everywhere(ve, "cpu.weight", "sched_ext", "cpu.weight: the sched_ext scheduler rctl_test runs this host")
    assert STATE.read_text().strip() == "disabled"
    assert used(ve, 1) < 0.4
    told_nowhere(ve)
