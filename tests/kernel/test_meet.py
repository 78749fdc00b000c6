"""Limits that meet others: frozen VEs that are to be entered, caps that slow an end, values with two views."""

import json
import os
import threading
from pathlib import Path

import pytest

from rctl.cgroupfs import devices
from tests.kernel.helpers import MOUNT, RELEASE, Ve
from tests.kernel.shell import rctl
from tests.kernel.test_bare import home
from tests.kernel.test_cli import fails
from tests.kernel.workload import MIB, burner, disk_user, filler, leaderless, sleeper, until, window


def test_run_and_attach_refuse_a_frozen_ve_unless_they_may_thaw_it(ve: Ve, other: Ve) -> None:
    worker = sleeper(other.dir)
    ve.set({"files.cgroup.freeze": 1})
    frozen = ": is frozen, so a process that comes into it stops. Use --thaw"
    fails(rctl("run", "web1", "-d", "--", "/bin/true"), 1, f"{ve.path}{frozen}")
    fails(rctl("attach", "web1", str(worker.pid)), 1, f"{ve.path}{frozen}")
    assert home(worker.pid) == f"/{other.dir.name}"
    assert ve.text("cgroup.freeze") == "1"
    assert rctl("attach", "web1", str(worker.pid), "--thaw").status == 0
    assert (home(worker.pid), ve.text("cgroup.freeze")) == (f"/{ve.dir.name}", "0")
    freezing = rctl("run", other.name, "-d", "--limit", "files.cgroup.freeze=1", "--", "/bin/true")
    fails(freezing, 1, f"{other.path}{frozen}")
    assert other.text("cgroup.freeze") == "0"


def test_attach_refuses_a_ve_below_a_frozen_cgroup(ve: Ve, other: Ve) -> None:
    (ve.dir / "below").mkdir()
    ve.set({"files.cgroup.freeze": 1})
    worker = sleeper(other.dir)
    refused = rctl("attach", f"{ve.path}/below", str(worker.pid), "--thaw")
    fails(refused, 1, f"{ve.path}/below: a cgroup above it is frozen")


def test_rm_kill_lifts_the_cap_that_slows_the_end(ve: Ve) -> None:
    (ve.dir / "below").mkdir()
    workers = [sleeper(ve.dir / "below") for _ in range(20)]
    ve.set({"cpu.max": "0.001", "cpu.period": "1s"})
    done = rctl("rm", "--kill", "web1", "--deadline", "5s")
    assert (done.status, done.out, done.err) == (0, f"web1: removed, {len(workers)} process(es) killed\n", "")


def test_rm_kill_ends_what_is_frozen(ve: Ve) -> None:
    sleeper(ve.dir)
    ve.set({"files.cgroup.freeze": 1})
    assert rctl("rm", "--kill", "web1").out == "web1: removed, 1 process(es) killed\n"


@pytest.mark.usefixtures("as_root")
def test_rm_kill_lifts_the_rate_that_holds_writes_under_way(ve: Ve, rawdisk: Path) -> None:
    ve.set({"io.max": f"{rawdisk} wbps=4096"})
    workers = [disk_user(ve.dir, rawdisk, MIB, write=True) for _ in range(3)]  # each waits 256 s in one write(2)
    until(lambda: all(state(worker.pid) == "D" for worker in workers), "all wait for the disk")
    done = rctl("rm", "--kill", "web1", "--deadline", "5s")
    assert (done.status, done.out, done.err) == (0, "web1: removed, 3 process(es) killed\n", "")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("weight", ["idle", "1"])
def test_rm_kill_lifts_the_weight_that_leaves_no_cpu_beside_busy_others(ve: Ve, other: Ve, weight: str) -> None:
    if weight == "idle" and not ve.able("cpu.idle"):
        return
    ve.set({"cpu.weight": weight})
    workers = [sleeper(ve.dir) for _ in range(20)]
    for _ in range(2 * (os.cpu_count() or 1)):
        burner(other.dir)
    done = rctl("rm", "--kill", "web1", "--deadline", "5s")
    assert (done.status, done.out, done.err) == (0, f"web1: removed, {len(workers)} process(es) killed\n", "")


@pytest.mark.usefixtures("as_root")
def test_rm_kill_lifts_the_weight_that_leaves_no_disk_beside_busy_others(ve: Ve, other: Ve, rawdisk: Path) -> None:
    """iocost on a disk of forty operations a second; the VE's share is one of 10,001."""
    ve.set({"io.weight": 1})
    other.set({"io.weight": 10000})
    device = devices.resolve(rawdisk.name)
    model = " ".join(f"{key}=40" for key in ("rseqiops", "rrandiops", "wseqiops", "wrandiops"))
    (MOUNT / "io.cost.model").write_text(f"{device} ctrl=user model=linear rbps=400000 wbps=400000 {model}")
    qos = "ctrl=user rpct=0 rlat=0 wpct=0 wlat=0 min=100.00 max=100.00"
    (MOUNT / "io.cost.qos").write_text(f"{device} enable=1 {qos}")
    try:
        for _ in range(4):
            disk_user(other.dir, rawdisk, 64 << 10, write=False)
        worker = disk_user(ve.dir, rawdisk, 64 << 10, write=False)
        until(lambda: "rios=" in other.text("io.stat"), "the first use of the disk")
        window(3)  # the weights take effect some periods later
        until(lambda: state(worker.pid) == "D", "the read waits for the disk")
        done = rctl("rm", "--kill", "web1", "--deadline", "8s")
    finally:
        (MOUNT / "io.cost.qos").write_text(f"{device} enable=0")
        (MOUNT / "io.cost.model").write_text(f"{device} ctrl=auto")
    assert (done.status, done.out, done.err) == (0, "web1: removed, 1 process(es) killed\n", "")


def test_rm_kill_names_the_cap_above_that_slows_the_end(ve: Ve) -> None:
    below = ve.dir / "slow"
    below.mkdir()
    for _ in range(20):
        sleeper(below)
    ve.set({"cpu.max": "0.001", "cpu.period": "1s"})
    try:
        done = rctl("rm", "--kill", "slow", "--deadline", "50ms", env={"RCTL_TREE": ve.path})
    finally:
        ve.set({"cpu.max": "max"})
    assert (done.status, done.out) == (1, "slow: left alone\n")
    assert f"not dead after 0.05 s; cpu.max of {ve.path} slows their end. Lift it, or raise --deadline" in done.err


@pytest.mark.usefixtures("as_root")
def test_rm_kill_that_fails_names_the_rate_above_and_puts_the_ves_own_limits_back(ve: Ve, rawdisk: Path) -> None:
    ve.set({"cpu.weight": 50, "io.max": f"{rawdisk} wbps=4096"})
    (ve.dir / "cgroup.subtree_control").write_text("+cpu +io")
    slow = Ve(ve.tree, f"{ve.path}/slow")
    slow.dir.mkdir()
    slow.set({"cpu.max": 0.5, "cpu.weight": 7, "io.max": f"{rawdisk} wbps=8192 riops=9"})
    before = slow.snapshot()
    worker = disk_user(slow.dir, rawdisk, MIB, write=True)
    until(lambda: state(worker.pid) == "D", "the write waits for the disk")
    try:
        done = rctl("rm", "--kill", "slow", "--deadline", "0.1s", env={"RCTL_TREE": ve.path})
        assert slow.snapshot() == before
    finally:
        ve.set({"io.max": f"{rawdisk} wbps=max"})
    assert (done.status, done.out) == (1, "slow: left alone\n")
    assert f"not dead after 0.1 s; io.max of {ve.path} slows their end. Lift it, or raise --deadline" in done.err


def state(pid: int) -> str:
    """A process's state (proc_pid_stat(5), field 3)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_attach_names_the_process_of_a_thread_and_refuses_a_zombie(ve: Ve) -> None:
    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    try:
        fails(rctl("attach", "web1", str(ended)), 1, f"{ended}: has ended")
    finally:
        os.waitpid(ended, 0)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        told = f"{thread.native_id}: is a thread, and a process moves as a whole. Give its process id, {os.getpid()}"
        fails(rctl("attach", "web1", str(thread.native_id)), 2, told)
    finally:
        stop.set()
        thread.join()
    assert ve.text("cgroup.procs") == ""


def test_attach_refuses_a_process_whose_first_thread_has_ended(ve: Ve, other: Ve) -> None:
    """The kernel moves the threads that live, and leaves the process in the list where its first thread ended."""
    worker = leaderless(other.dir)
    until(lambda: state(worker.pid) == "Z", "the end of the first thread")
    (thread,) = {int(name) for name in os.listdir(f"/proc/{worker.pid}/task")} - {worker.pid}
    fails(rctl("attach", "web1", str(worker.pid)), 2, f"{worker.pid}: its first thread has ended and others run on")
    assert home(worker.pid) == home(thread) == other.path
    (ve.dir / "cgroup.procs").write_text(str(worker.pid))
    assert (home(worker.pid), home(thread)) == (other.path, ve.path)
    assert (ve.text("cgroup.procs"), ve.text("cgroup.threads")) == ("", str(thread))


def test_undo_of_nice_puts_the_exact_weight_back(ve: Ve) -> None:
    ve.set({"cpu.weight": 150})
    assert ve.text("cpu.weight.nice") == "-2"  # which alone would be 155
    ve.set({"files.cpu.weight.nice": -5})
    assert (ve.text("cpu.weight.nice"), ve.text("cpu.weight")) == ("-5", "305")
    assert rctl("undo").status == 0
    assert (ve.text("cpu.weight.nice"), ve.text("cpu.weight")) == ("-2", "150")
    failed = rctl("set", "web1", "files.cpu.weight.nice=4", "files.cgroup.max.depth=deep")
    assert (failed.status, ve.text("cpu.weight")) == (1, "150")


def test_a_childs_partition_may_come_before_its_parents(ve: Ve) -> None:
    ve.set({"cpuset.cpus": "1"})
    (ve.dir / "cgroup.subtree_control").write_text("+cpuset")
    child = Ve(ve.tree, f"{ve.path}/below")
    child.dir.mkdir()
    child.set({"cpuset.cpus": "1"})
    done = rctl("set", child.path, "cpuset.partition=root")
    if RELEASE < (6, 1):
        assert "the cgroup above must be a partition, too" in done.err
        return
    if done.status:  # from 6.7 on, where the parent is none, it takes what lists of exclusive CPUs name
        assert ve.has("cpuset.cpus.exclusive")
        assert "Set cpuset.exclusive here and in each cgroup above" in done.err
        return
    if "invalid" in child.text("cpuset.cpus.partition"):  # from 6.7 on it may be valid at once
        assert "takes effect when the cgroup above is a partition, too" in done.err
    assert rctl("set", "web1", "cpuset.partition=root").status == 0
    assert child.text("cpuset.cpus.partition") == "root"
    assert rctl("undo", "--last", "2").status == 0
    assert (ve.text("cpuset.cpus.partition"), child.text("cpuset.cpus.partition")) == ("member", "member")


def test_force_says_when_more_memory_than_the_limit_is_left(ve: Ve) -> None:
    ve.set({"memory.max": "100M", "memory.swap.max": 0})
    worker = filler(ve.dir, 24)
    Path(f"/proc/{worker.pid}/oom_score_adj").write_text("-1000")  # which the kernel does not kill
    done = rctl("set", "web1", "memory.max=8M", "--force")
    assert done.status == 0, done.err
    assert "memory.max is 8M, and " in done.err
    assert "is still in use: the kernel could neither free nor kill more" in done.err
    ve.set({"memory.max": "max"})


@pytest.mark.usefixtures("swap")
def test_reclaim_frees_what_it_can_and_says_how_much(ve: Ve) -> None:
    ve.set({"memory.max": "300M"})
    if not ve.has("memory.reclaim"):
        fails(rctl("reclaim", "web1", "1M"), 1, "memory.reclaim: not there")
        return
    filler(ve.dir, 40)
    before = ve.number("memory.current")
    done = rctl("reclaim", "web1", "8M")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("web1: 8M of 8M freed, ")
    assert ve.number("memory.current") < before
    told = rctl("reclaim", "web1", "1G", "--json", "--deadline", "1s")
    assert told.status == 1
    assert json.loads(told.out)["freed"] < json.loads(told.out)["asked"] == 1 << 30
    assert ve.text("memory.max") == str(300 << 20)
    fails(rctl("reclaim", "web1", "max"), 2, "reclaim: max: not an amount to free")


@pytest.mark.usefixtures("swap")
def test_reclaim_with_swappiness_0_puts_nothing_into_swap_and_with_200_does(ve: Ve) -> None:
    ve.set({"memory.max": "300M"})
    filler(ve.dir, 40)
    done = rctl("reclaim", "web1", "8M", "--swappiness", "200")
    if "swappiness" in done.err or not ve.has("memory.reclaim"):
        what = "this kernel takes no swappiness" if ve.has("memory.reclaim") else "not there"
        fails(done, 1, f"memory.reclaim: {what}")
        assert RELEASE < (6, 11)
        return
    assert (done.status, done.err) == (0, "")
    swapped = ve.number("memory.swap.current")
    assert swapped >= 4 * MIB
    spared = rctl("reclaim", "web1", "16M", "--swappiness", "0", "--deadline", "1s", "--json")
    assert ve.number("memory.swap.current") == swapped
    assert json.loads(spared.out)["freed"] < 16 * MIB
