"""What the kernel takes and does not follow: it really does not, and rctl says so."""

import errno
import os
from pathlib import Path

import pytest

from tests.kernel.helpers import Ve
from tests.kernel.workload import filler, forker

MIB = 1 << 20


def test_memory_high_below_what_cannot_be_reclaimed_is_said(ve: Ve) -> None:
    ve.set({"memory.swap.max": 0})
    worker = filler(ve.dir, 20)
    (note,) = ve.set({"memory.high": "1M"}, deadline=0.5).notes
    assert f"{ve.path}: memory.high is 1M, and " in note
    assert "in use cannot be reclaimed" in note
    assert ve.number("memory.current") > MIB
    ve.set({"memory.high": "max"})
    assert worker.hold(21)


@pytest.mark.usefixtures("swap")
def test_swap_max_below_use_frees_no_swap_and_is_said(ve: Ve) -> None:
    ve.set({"memory.max": "100M"})
    filler(ve.dir, 20)
    ve.set({"memory.max": "10M"})
    used = ve.number("memory.swap.current")
    assert used > 0
    (note,) = ve.set({"memory.swap.max": 0}).notes
    assert "of swap in use stay: the limit stops new swap alone" in note
    assert ve.number("memory.swap.current") >= used // 2


def test_pids_max_below_use_ends_nobody_and_is_said(ve: Ve) -> None:
    ve.set({"pids.max": 20})
    worker = forker(ve.dir)
    assert worker.ask("5") == "5 0"
    (note,) = ve.set({"pids.max": 2}).notes
    assert "pids.max is 2, and 6 processes and threads stay" in note
    assert worker.ask("1") == f"0 {errno.EAGAIN}"


def test_burst_without_a_quota_never_bursts_and_is_said(ve: Ve) -> None:
    if not ve.able("cpu.max.burst"):
        return
    ve.set({"cpu.max": 0.5, "cpu.burst": "10ms"})
    (note,) = ve.set({"cpu.max": "max"}).notes
    assert "cpu.max is max: without effect" in note
    assert ve.text("cpu.max.burst") == "10000"


def test_memory_low_that_nothing_above_protects_is_said(ve: Ve, place: Path) -> None:
    """https://docs.kernel.org/admin-guide/cgroup-v2.html: the effective low boundary is limited by the ancestors'."""
    ve.set({"memory.max": "1G"})
    (ve.dir / "cgroup.subtree_control").write_text("+memory")
    (ve.dir / "inner").mkdir()
    inner = Ve(ve.tree, f"{ve.path}/inner")
    (note,) = inner.set({"memory.low": "10M"}).notes
    assert f"{inner.path}: memory.low is 10M, and in effect at most 0: {ve.path} protects no more" in note
    ve.set({"memory.low": "20M"})
    assert inner.set({"memory.low": "12M"}).notes == ()


def test_more_than_the_host_has_is_said_also_in_a_dry_run(ve: Ve) -> None:
    wanted = {"memory.max": "100T", "cpu.max": 99}
    for dry in (True, False):
        notes = ve.set(wanted, dry_run=dry).notes
        assert [note.partition(",")[0] for note in sorted(notes)] == [
            f"{ve.path}: cpu.max is 99 CPUs",
            f"{ve.path}: memory.max is 100T",
        ]
        assert all("it never binds" in note for note in notes)


@pytest.mark.usefixtures("as_root")
def test_a_cpuset_that_a_siblings_partition_cannot_bear_is_said(ve: Ve, other: Ve, place: Path) -> None:
    if os.cpu_count() == 1:
        pytest.skip("needs two CPUs; the lab has them")
    other.set({"cpuset.cpus": "1", "cpuset.partition": "root"})
    assert other.text("cpuset.cpus.partition") == "root"
    notes = ve.set({"cpuset.cpus": "0-1"}).notes
    state = other.text("cpuset.cpus.partition")
    said = any(f"{other.path}: its partition is now {state}" in note for note in notes)
    assert said == (" invalid" in state)
    assert notes, "one of the two lost CPU 1"
