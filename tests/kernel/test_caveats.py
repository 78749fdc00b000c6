"""What the kernel takes and does not follow: it really does not, and rctl says so."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rctl.api.session import session
from rctl.cgroupfs.tree import Tree
from rctl.errors import KernelError
from tests.kernel.helpers import MOUNT, RELEASE, Ve, lacks, set_all
from tests.kernel.workload import filler, forker, sleeper, window, zswap

MIB = 1 << 20


def test_memory_high_below_what_cannot_be_reclaimed_is_said(ve: Ve) -> None:
    ve.set({"memory.swap.max": 0})
    worker = filler(ve.dir, 20)
    (note,) = ve.set({"memory.high": "1M"}, deadline=0.5).notes
    assert f"{ve.name}: memory.high is 1M, and " in note
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
            f"{ve.name}: cpu.max is 99 CPUs",
            f"{ve.name}: memory.max is 100T",
        ]
        assert all("it never binds" in note for note in notes)


def test_memory_high_at_or_above_memory_max_never_throttles_and_is_said(ve: Ve) -> None:
    ve.set({"memory.max": "20M", "memory.swap.max": 0})
    (note,) = ve.set({"memory.high": "20M"}).notes
    assert note == f"{ve.name}: memory.high is 20M, and memory.max is 20M: it never throttles"
    assert not filler(ve.dir).hold(40), "the kernel kills at memory.max"
    assert (ve.count("memory.events", "high"), ve.count("memory.events", "oom_kill")) == (0, 1)
    assert ve.set({"memory.high": "10M"}).notes == ()


@contextmanager
def no_swap() -> Iterator[None]:
    """The machine without swap, for as long as the block lasts."""
    areas = [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    for area in areas:
        subprocess.run(["swapoff", area], check=True)
    try:
        yield
    finally:
        for area in areas:
            subprocess.run(["swapon", area], check=True)


@pytest.mark.usefixtures("swap", "as_root")
def test_a_limit_of_swap_on_a_host_without_is_without_effect_and_is_said(ve: Ve) -> None:
    ve.set({"memory.max": "20M"})
    assert ve.set({"memory.swap.max": "100M"}).notes == ()
    with no_swap():
        window(0.06)  # what is known of the host lasts for a moment
        (note,) = ve.set({"memory.swap.max": "200M"}).notes
        assert note == f"{ve.name}: memory.swap.max is 200M, and this host has no swap: without effect. See swapon(8)"
        assert not filler(ve.dir).hold(40), "the kernel kills, for it cannot swap"


@pytest.mark.usefixtures("swap", "as_root")
def test_a_limit_of_zswap_where_it_is_off_is_without_effect_and_is_said(ve: Ve) -> None:
    if not ve.able("memory.zswap.max"):
        return
    ve.set({"memory.max": "20M"})
    with zswap("N"):
        (note,) = ve.set({"memory.zswap.max": "10M"}).notes
        assert f"{ve.name}: memory.zswap.max is 10M, and zswap is off: without effect" in note
        assert filler(ve.dir).hold(40)
        assert ve.number("memory.swap.current") > MIB
        assert ve.number("memory.zswap.current") == 0
        if not lacks(ve, "memory.zswap.writeback", {"memory.zswap.writeback": 0}):
            (note,) = ve.set({"memory.zswap.writeback": 0}).notes
            assert "zswap is off: without effect" in note
    with zswap("Y"):
        window(0.06)
        assert ve.set({"memory.zswap.max": "11M"}).notes == ()


def test_zswap_writeback_below_a_cgroup_that_has_none_is_said(ve: Ve) -> None:
    if lacks(ve, "memory.zswap.writeback", {"memory.zswap.writeback": 0}):
        return
    with zswap("Y"):
        window(0.06)
        ve.set({"memory.zswap.writeback": 0})
        (ve.dir / "cgroup.subtree_control").write_text("+memory")
        child = Ve(ve.tree, f"{ve.path}/below")
        child.dir.mkdir()
        child.set({"memory.zswap.writeback": 0})
        (note,) = child.set({"memory.zswap.writeback": 1}).notes
        assert f"is 1, and 0 in {ve.path}: nothing is written back" in note
        ve.set({"memory.zswap.writeback": 1})
        child.set({"memory.zswap.writeback": 0})
        assert child.set({"memory.zswap.writeback": 1}).notes == ()


def test_a_share_of_disks_that_nobody_shares_out_is_said(ve: Ve) -> None:
    if ve.able("io.bfq.weight") or "enable=1" in (MOUNT / "io.cost.qos").read_text():
        pytest.skip("a disk of this host uses BFQ or iocost; the lab's do not")
    (note,) = ve.set({"io.weight": 50}).notes
    assert note == "io.weight: accepted, and without effect: no disk uses iocost or BFQ. See rctl doctor"


@pytest.mark.usefixtures("as_root")
def test_a_cpu_that_is_offline_is_not_in_effect_and_is_said(ve: Ve) -> None:
    online = Path("/sys/devices/system/cpu/cpu1/online")
    if not online.exists():
        pytest.skip("needs a second CPU that can be taken offline; the lab has it")
    online.write_text("0")
    try:
        (note,) = ve.set({"cpuset.cpus": "0-1"}).notes
        assert note.startswith(f"{ve.name}: cpuset.cpus is 0-1; only 0 is in effect")
        assert ve.text("cpuset.cpus.effective") == "0"
    finally:
        online.write_text("1")


@pytest.mark.parametrize("count", [2, 70])
def test_pids_that_stay_are_said_of_few_and_of_many(ve: Ve, tree: Tree, count: int) -> None:
    """In VEs below one, whatever their number; the note of many is short."""
    ve.set({"pids.max": 1000})  # enables pids for it
    (ve.dir / "cgroup.subtree_control").write_text("+pids")
    ves = [Ve(tree, f"{ve.path}/{number}") for number in range(count)]
    for one in ves:
        one.dir.mkdir()
    workers = [sleeper(one.dir) for one in ves[:2]]
    notes = set_all(tree, {one: {"pids.max": 0} for one in ves}).notes
    assert [note.partition(",")[0] for note in sorted(notes)] == [f"{one.path}: pids.max is 0" for one in ves[:2]]
    assert all(worker.alive for worker in workers)


@pytest.mark.usefixtures("as_root")
def test_a_cpuset_that_a_siblings_partition_cannot_bear_is_said(ve: Ve, other: Ve, place: Path) -> None:
    if os.cpu_count() == 1:
        pytest.skip("needs two CPUs; the lab has them")
    other.set({"cpuset.cpus": "1", "cpuset.partition": "root"})
    assert other.text("cpuset.cpus.partition") == "root"
    if RELEASE < (6, 1):
        with pytest.raises(KernelError):
            ve.set({"cpuset.cpus": "0-1"})
        return
    notes = ve.set({"cpuset.cpus": "0-1"}).notes
    state = other.text("cpuset.cpus.partition")
    said = any(f"{other.path}: its partition is now {state}" in note for note in notes)
    assert said == (" invalid" in state)
    assert notes, "one of the two lost CPU 1"


def test_thawing_below_a_frozen_cgroup_thaws_nothing_and_is_said(ve: Ve) -> None:
    (ve.dir / "inner").mkdir()
    worker = sleeper(ve.dir / "inner")
    inner = f"{ve.path}/inner"
    said = f"{inner}: stays frozen, for {ve.path} is. Thaw that: rctl thaw {ve.path}"
    with session() as s:
        s.freeze(ve.path, inner)
        for status in "changed", "unchanged":
            account = s.thaw(inner)
            assert ([outcome.status for outcome in account.outcomes], account.notes) == ([status], (said,))
            assert "frozen 1" in (ve.dir / "inner" / "cgroup.events").read_text()
        assert s.thaw(inner, ve.path).notes == ()
    assert worker.alive
    assert "frozen 0" in (ve.dir / "inner" / "cgroup.events").read_text()
