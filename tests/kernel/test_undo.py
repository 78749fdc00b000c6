"""Undo restores exactly, once, gently, and never over what was changed since."""

from pathlib import Path

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.records.history import history
from rctl.adjust.state_folder import State
from rctl.adjust.undoing.undo import FreezeError
from rctl.cgroupfs.tree import Tree
from rctl.errors import GoneError, NotFoundError, RctlError, ShrinkError
from rctl.host import Host
from tests.kernel.helpers import Ve, refused, set_all, undo
from tests.kernel.shell import rctl
from tests.kernel.workload import MIB, filler, sleeper

FIRST = {"memory.max": "200M", "memory.low": "10M", "cpu.max": 0.5, "cpu.weight": 50, "pids.max": 100, "io.weight": 40}
SECOND = {"memory.max": "300M", "memory.high": "250M", "cpu.max": "max", "cpu.period": "50ms", "cpu.weight": 200}


def test_every_adjustment_is_taken_back_in_turn(ve: Ve, other: Ve, tree: Tree, host: Host) -> None:
    set_all(tree, {ve: {"memory.max": "max", "cpu.weight": 100, "pids.max": "max", "io.weight": 100}})
    states = []
    for wanted in (FIRST, SECOND, {"cpuset.cpus": 0, "pids.max": 7}):
        states.append((ve.snapshot(), other.snapshot()))
        set_all(tree, {ve: wanted, other: wanted})
    for before in reversed(states):
        account = undo(tree, host, Options())
        assert {outcome.status for outcome in account.outcomes} == {"changed"}
        now = (ve.snapshot(), other.snapshot())
        assert all(text == now[n][name] for n in (0, 1) for name, text in before[n].items() if name != "parent")


def test_undo_of_idle_brings_back_the_weight(ve: Ve, tree: Tree, host: Host) -> None:
    if not ve.able("cpu.idle"):
        return  # refused here: test_cpu.py
    ve.set({"cpu.weight": 300})
    ve.set({"cpu.weight": "idle"})
    undo(tree, host, Options())
    assert (ve.text("cpu.idle"), ve.text("cpu.weight")) == ("0", "300")


def test_undo_of_a_weight_brings_back_idle(ve: Ve, tree: Tree, host: Host) -> None:
    if not ve.able("cpu.idle"):
        return
    ve.set({"cpu.weight": "idle"})
    before = ve.snapshot()
    ve.set({"cpu.weight": 300})
    undo(tree, host, Options())
    assert ve.snapshot() == before


def test_undo_of_a_disk_limit_removes_its_line(ve: Ve, rawdisk: Path, tree: Tree, host: Host) -> None:
    ve.set({"io.max": f"{rawdisk} rbps=1M"})
    ve.set({"io.max": f"{rawdisk} wiops=10"})
    undo(tree, host, Options())
    assert ve.text("io.max").endswith("rbps=1000000 wbps=max riops=max wiops=max")
    undo(tree, host, Options())
    assert not ve.has("io.max") or ve.text("io.max") == ""


def test_nothing_is_taken_back_twice(ve: Ve, tree: Tree, host: Host, state: State) -> None:
    ve.set(FIRST)
    undo(tree, host, Options())
    with refused(NotFoundError, "nothing left to undo", ve):
        undo(tree, host, Options())
    first = history(state)[0].id
    with refused(NotFoundError, f"{first}: was undone already", ve):
        undo(tree, host, Options(), first)


def test_change_since_is_not_overwritten_unless_forced(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"pids.max": 100, "cpu.weight": 50})
    ve.set({"pids.max": 200, "cpu.weight": 70})
    (ve.dir / "pids.max").write_text("300")
    with refused(RctlError, f"^pids.max: on {ve.path} is 300 now; it was 200 after that adjustment", ve):
        undo(tree, host, Options())
    undo(tree, host, Options(force=True), None)
    assert (ve.text("pids.max"), ve.text("cpu.weight")) == ("100", "50")


def test_one_adjustment_by_its_id(ve: Ve, tree: Tree, host: Host) -> None:
    account = ve.set({"pids.max": 100})
    ve.set({"cpu.weight": 70})
    undo(tree, host, Options(), account.id)
    assert (ve.unset("pids.max"), ve.text("cpu.weight")) == (True, "70")


@pytest.mark.usefixtures("swap")
def test_undo_of_memory_shrinks_gently(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"memory.max": "30M"})
    ve.set({"memory.max": "max"})
    worker = filler(ve.dir, 60)
    undo(tree, host, Options(deadline=30), None)
    assert ve.number("memory.max") == 30 * MIB
    assert ve.number("memory.current") <= 30 * MIB
    assert ve.text("memory.high") == "max"
    assert ve.count("memory.events", "oom_kill") == 0
    assert worker.alive


def test_undo_that_cannot_shrink_leaves_all_as_it_is(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"memory.max": "30M", "memory.swap.max": 0, "pids.max": 10})
    ve.set({"memory.max": "max", "pids.max": 20})
    worker = filler(ve.dir, 60)
    with refused(ShrinkError, "cannot set 30M", ve):
        undo(tree, host, Options(deadline=0.3), None)
    assert worker.alive


def test_undo_for_a_ve_made_again_is_refused(ve: Ve, tree: Tree, host: Host) -> None:
    account = ve.set({"pids.max": 10})
    ve.dir.rmdir()
    ve.dir.mkdir()
    with refused(GoneError, f"^{account.id}: its VEs were removed", ve):
        undo(tree, host, Options(), account.id)
    with refused(NotFoundError, "nothing left to undo", ve):
        undo(tree, host, Options())


def test_undo_of_two_ves_of_which_one_is_gone(ve: Ve, other: Ve, tree: Tree, host: Host) -> None:
    set_all(tree, {ve: {"pids.max": 10}, other: {"pids.max": 20}})
    other.dir.rmdir()
    account = undo(tree, host, Options())
    assert ve.unset("pids.max")
    assert account.notes == (f"{tree.name(other.path)}: was removed; there is nothing to undo there",)


def test_undo_of_what_is_as_before_already_comes_to_the_one_before(ve: Ve, tree: Tree, host: Host) -> None:
    (ve.dir.parent / "cgroup.subtree_control").write_text("+cpu")  # enabled before, so nothing is left to take back
    ve.set({"pids.max": 10})
    ve.set({"cpu.weight": 50})
    (ve.dir / "cpu.weight").write_text("100")
    assert undo(tree, host, Options(force=True), None).id is None
    undo(tree, host, Options())
    assert ve.unset("pids.max")


def test_dry_undo_tells_and_changes_nothing(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"pids.max": 10})
    before = ve.snapshot()
    account = undo(tree, host, Options(dry_run=True), None)
    assert [step.describe() for step in account.outcomes[0].steps] == [f"{ve.path}: pids.max: 10 -> max"]
    assert ve.snapshot() == before


def test_undo_never_takes_back_an_older_adjustment_in_place_of_one_whose_ve_is_gone(
    ve: Ve, other: Ve, tree: Tree, host: Host
) -> None:
    first = ve.set({"pids.max": 10})
    gone = other.set({"pids.max": 20})
    other.dir.rmdir()
    with refused(GoneError, f"the last adjustment, {gone.id} .* use: rctl undo {first.id}$", ve):
        undo(tree, host, Options())
    undo(tree, host, Options(), first.id)
    assert ve.unset("pids.max")


def test_undo_neither_freezes_nor_thaws_by_surprise(ve: Ve, tree: Tree, host: Host) -> None:
    worker = sleeper(ve.dir)
    frozen = ve.set({"files.cgroup.freeze": 1})
    with refused(FreezeError, f"{frozen.id} .* only froze or thawed", ve):
        undo(tree, host, Options())
    assert ve.text("cgroup.freeze") == "1"
    undo(tree, host, Options(), frozen.id)
    assert ve.text("cgroup.freeze") == "0"
    assert worker.alive


def test_undo_of_a_verbatim_file_that_somebody_changed_since_is_refused(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"files.cgroup.max.depth": "4"})
    ve.set({"files.cgroup.max.depth": "5"})
    (ve.dir / "cgroup.max.depth").write_text("9")
    with pytest.raises(RctlError, match=r"cgroup\.max\.depth: on /rctl-web1 is 9 now; it was 5"):
        undo(tree, host, Options())
    assert ve.text("cgroup.max.depth") == "9"
    (ve.dir / "cgroup.max.depth").write_text("5")
    undo(tree, host, Options())
    assert ve.text("cgroup.max.depth") == "4"


def test_undo_knows_what_the_kernel_made_of_a_verbatim_text(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"files.cgroup.max.depth": "0x10"})
    assert ve.text("cgroup.max.depth") == "16"
    undo(tree, host, Options())
    assert ve.text("cgroup.max.depth") == "max"


def test_a_dry_run_of_several_shows_what_each_of_them_does(ve: Ve, other: Ve) -> None:
    worker = sleeper(ve.dir)
    commands = [
        ("set", "web1", "pids.max=90", "cpu.max=0.5", "memory.max=300M"),
        ("set", "web2", "pids.max=80", "cpu.weight=50"),
        ("run", "-d", "made", "--limit", "pids.max=70", "--", "sleep", "600"),
        ("attach", "web2", str(worker.pid)),
        ("set", "web1", "web2", "memory.max=200M", "cpuset.cpus=0"),
    ]
    for command in commands:
        assert rctl(*command).status == 0
    before = ve.snapshot(), other.snapshot()
    count = str(len(commands))
    planned = rctl("undo", "--last", count, "--dry-run")
    assert (ve.snapshot(), other.snapshot()) == before
    done = rctl("undo", "--last", count)
    assert (planned.status, done.status) == (0, 0), done.err
    told = done.out.replace(": removed", ": changed")
    assert planned.out.replace("would undo", "undo").replace(": planned", ": changed") == told
    rctl("rm", "made", "--kill")
