"""Taking back what others have gone on from: VEs replaced, processes moved on, limits changed, freezes in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from rctl.adjust.engine import adjust
from rctl.adjust.lifecycle import processes
from rctl.adjust.records.history import Record, history, latest
from rctl.adjust.records.journal import Journal
from rctl.adjust.request import Around, Options
from rctl.adjust.site import Site
from rctl.adjust.steps import Move, Set
from rctl.adjust.undoing import undo as undo_file
from rctl.adjust.undoing.undo import FreezeError, Undone, told, undo
from rctl.cgroupfs.tree import Tree
from rctl.errors import GoneError, RctlError, UsageError
from rctl.host import Host
from rctl.limits import Limits
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder
from tests.unit.test_undo import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Two VEs; a process lives in the first."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(101,))
    kernel.make("/rctl-web2")
    with state_folder() as state, kernel.installed() as tree:
        yield Bench(kernel, tree, state)


def around(bench: Bench, names: list[str], **around: Any) -> str:
    """An adjustment that makes, moves or labels, and its id."""
    asked = dict.fromkeys(names, Limits())
    done = adjust(bench.site, asked, Options(), around=Around(**around))
    assert done.id
    return done.id


# A VE that is another one by now


@pytest.mark.parametrize("kind", ["a limit", "a VE", "a label"])
def test_a_ve_that_is_replaced_at_the_last_moment_is_not_touched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = "/rctl-web2"
    if kind == "a limit":
        bench.set({"pids.max": 50}, "web2")
    elif kind == "a VE":
        path = "/rctl-new"
        around(bench, ["new"], make=("new",))
    else:
        around(bench, ["web2"], labels={"web2": {"tier": "gold"}})
    transact = undo_file.transact

    def late(*given: Any, **more: Any) -> Any:
        bench.kernel.remove(path)
        again = bench.kernel.make(path)
        again.files["pids.max"] = "50"
        again.labels["user.tier"] = b"gold"
        return transact(*given, **more)

    monkeypatch.setattr(undo_file, "transact", late)
    with pytest.raises(GoneError):
        bench.undo()
    assert bench.kernel.get(path, "pids.max") == "50"
    assert bench.kernel.node(path).labels["user.tier"] == b"gold"


def test_controllers_of_a_cgroup_that_is_gone_are_passed_over(bench: Bench) -> None:
    bench.kernel.make("/rctl-web2/below", enable=False)
    both = dict.fromkeys(("web1", "/rctl-web2/below"), limits({"pids.max": 50}, bench.kernel.host))
    adjust(bench.site, both)
    bench.kernel.remove("/rctl-web2")
    assert bench.undo().notes == ("/rctl-web2/below: was removed; there is nothing to undo there",)
    assert bench.get("pids.max") == "max"


def test_of_three_ves_that_are_gone_each_is_named_and_no_more(bench: Bench) -> None:
    names = ["v1", "v2", "v3"]
    for name in names:
        bench.kernel.make(f"/rctl-{name}")
    asked = dict.fromkeys([*names, "web1"], limits({"pids.max": 7}, bench.kernel.host))
    adjust(bench.site, asked)
    for name in names:
        bench.kernel.remove(f"/rctl-{name}")
    assert bench.undo().notes == tuple(f"{name}: was removed; there is nothing to undo there" for name in names)


def test_an_adjustment_from_before_the_last_boot_is_named_with_its_id(bench: Bench) -> None:
    old = bench.set({"pids.max": 50}).id
    rebooted = Host({"/proc/sys/kernel/random/boot_id": "later"}.__getitem__)
    with pytest.raises(UsageError, match=rf"^{old} \(.* is from before the last boot; its VEs are gone"):
        undo(Site(bench.tree, rebooted, bench.state), Options(), old)


def test_ves_that_are_on_another_mount_are_told_with_the_way_to_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = bench.set({"pids.max": 50}).id
    ino = bench.kernel.node("/rctl-web1").ino

    @contextmanager
    def walk(path: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(ino=ino)

    other = SimpleNamespace(walk=walk, mount=SimpleNamespace(point="/mnt/b"))
    monkeypatch.setattr(Tree, "others", lambda tree: iter([other]))
    bench.kernel.remove("/rctl-web1")
    with pytest.raises(GoneError) as caught:
        bench.undo(done)
    assert str(caught.value).startswith(f"{done} (")
    assert str(caught.value).endswith(") is of VEs on the mount /mnt/b. Take it back there: RCTL_MOUNT=/mnt/b")


# Processes


@pytest.fixture
def moved(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The process was moved from the first VE into the second, whose limit was set with it."""
    monkeypatch.setattr(processes, "check_whole", lambda pid: None)
    monkeypatch.setattr(processes, "started", lambda pid: 7)
    monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1")
    asked = {"web2": limits({"pids.max": 50}, bench.kernel.host)}
    adjust(bench.site, asked, Options(), around=Around(move=(101,)))
    assert bench.kernel.node("/rctl-web2").procs == {101}
    return bench


def test_a_process_that_was_moved_goes_back_where_it_was(moved: Bench) -> None:
    moved.undo()
    assert (moved.kernel.node("/rctl-web1").procs, moved.kernel.node("/rctl-web2").procs) == ({101}, set())
    assert moved.kernel.get("/rctl-web2", "pids.max") == "max"


def test_another_process_of_the_same_number_stays(moved: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "started", lambda pid: 8)
    moved.undo()
    assert moved.kernel.node("/rctl-web2").procs == {101}
    assert moved.kernel.get("/rctl-web2", "pids.max") == "max"


def test_a_process_that_somebody_moved_on_stays_there(moved: Bench) -> None:
    moved.kernel.make("/rctl-web3")
    moved.kernel.put("/rctl-web3", "cgroup.procs", "101")
    moved.undo()
    assert moved.kernel.node("/rctl-web3").procs == {101}


def test_the_step_that_moves_it_back_can_itself_be_recovered(moved: Bench) -> None:
    """It says who moves from where to where, and since when that process runs."""
    planned = [step for outcome in moved.undo(dry_run=True).outcomes for step in outcome.steps]
    assert [step for step in planned if isinstance(step, Move)] == [Move("/rctl-web1", 101, 7, "/rctl-web2")]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_where_the_ve_of_a_moved_process_is_gone_the_rest_is_taken_back(
    moved: Bench, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (record,) = latest(moved.state)
    web1 = Set("/rctl-web1", "pids.max", "max", "9")
    inodes = {path: moved.kernel.node(path).ino for path in ("/rctl-web1", "/rctl-web2")}
    moves = [step for step in record.steps if not isinstance(step, Set)]
    Journal(moved.state, Record("20301122-1", 1.0, BOOT, "", inodes, (web1, *moves))).close(done=True)
    moved.kernel.put("/rctl-web1", "pids.max", "9")
    if when == "before":
        moved.kernel.remove("/rctl-web2")
    else:
        left = processes.is_in

        def gone(*given: Any) -> bool:
            moved.kernel.remove("/rctl-web2")
            return left(*given)

        monkeypatch.setattr(processes, "is_in", gone)
    moved.undo("20301122-1")
    assert moved.get("pids.max") == "max"


def test_a_ve_that_was_made_and_filled_stays_and_that_counts_as_undone(bench: Bench) -> None:
    made = around(bench, ["new"], make=("new",))
    bench.kernel.node("/rctl-new").procs = {102}
    account = bench.undo()
    assert account.notes == (
        "new: stays, because it has processes or cgroups inside. See rctl rm --kill",
        f"{made}: there is nothing else to take back; it counts as undone",
    )
    assert bench.undoable() == []


# Frozen and thawed


def test_where_only_a_freeze_was_to_be_taken_back_the_newest_before_it_of_a_ve_that_is_there_is_named(
    bench: Bench,
) -> None:
    first = bench.set({"pids.max": 5}).id
    bench.kernel.make("/rctl-web3")
    bench.set({"pids.max": 6}, "web3")
    bench.kernel.remove("/rctl-web3")
    bench.set({"files.cgroup.freeze": 1})
    with pytest.raises(FreezeError, match=rf"Or take back the one before, {first} \(.*: rctl undo {first}\n"):
        bench.undo()


def test_of_one_ve_the_one_before_a_freeze_is_of_that_ve(bench: Bench) -> None:
    first = bench.set({"pids.max": 5}).id
    bench.set({"pids.max": 6}, "web2")
    bench.set({"files.cgroup.freeze": 1})
    with pytest.raises(FreezeError, match=f": rctl undo {first}\n"):
        undo(bench.site, Options(), ve="web1")


def test_the_one_before_a_freeze_is_none_that_came_after_it(bench: Bench) -> None:
    first = bench.set({"pids.max": 5}).id
    bench.set({"files.cgroup.freeze": 1})
    bench.set({"pids.max": 6}, "web2")
    bench.set({"pids.max": 7}, "web2")
    with pytest.raises(FreezeError, match=f": rctl undo {first}\n"):
        undo(bench.site, Options(dry_run=True), last=3)


def test_the_one_before_a_freeze_is_looked_for_among_so_many_and_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_file, "_SEARCHED", 3)
    first = bench.set({"pids.max": 5}).id
    for frozen in (1, 0):
        bench.set({"files.cgroup.freeze": frozen})
    with pytest.raises(FreezeError, match=f": rctl undo {first}\n"):
        bench.undo()
    bench.set({"files.cgroup.freeze": 1})
    with pytest.raises(FreezeError) as caught:
        bench.undo()
    assert "the one before" not in str(caught.value)


def test_before_a_freeze_there_is_nothing_from_another_boot(bench: Bench) -> None:
    ino = {"/rctl-web1": bench.kernel.node("/rctl-web1").ino}
    old = Record("20201122-1", 1.0, "another", "", ino, (Set("/rctl-web1", "pids.max", "max", "5"),))
    Journal(bench.state, old).close(done=True)
    bench.set({"files.cgroup.freeze": 1})
    with pytest.raises(FreezeError) as caught:
        bench.undo()
    assert "20201122-1" not in str(caught.value)


def test_undo_does_not_freeze_the_rctl_that_does_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.set({"files.cgroup.freeze": 1})
    thawed = bench.set({"files.cgroup.freeze": 0, "pids.max": 5}).id
    monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1")
    with pytest.raises(UsageError, match="web1: this rctl runs in it"):
        bench.undo(thawed)
    assert (bench.get("cgroup.freeze"), bench.get("pids.max")) == ("0", "5")


def test_an_rctl_in_the_ve_may_take_back_a_freeze_and_a_limit_of_1(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set({"pids.max": 1})
    frozen = bench.set({"pids.max": 2, "files.cgroup.freeze": 1}).id
    monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1")
    bench.undo(frozen)
    assert (bench.get("cgroup.freeze"), bench.get("pids.max")) == ("0", "1")


def test_a_thaw_that_came_since_does_not_stand_in_the_way_of_the_rest(bench: Bench) -> None:
    bench.set({"files.cgroup.freeze": 1, "pids.max": 5})
    bench.kernel.put("/rctl-web1", "cgroup.freeze", "0")
    bench.undo()
    assert (bench.get("cgroup.freeze"), bench.get("pids.max")) == ("0", "max")


def test_a_limit_beside_a_freeze_that_was_changed_since_is_not_overwritten(bench: Bench) -> None:
    bench.set({"files.cgroup.freeze": 1, "pids.max": 5})
    bench.kernel.put("/rctl-web1", "pids.max", "60")
    with pytest.raises(RctlError, match=r"pids\.max: on /rctl-web1 is 60 now; it was 5 after"):
        bench.undo()
    assert bench.get("pids.max") == "60"


# Several, and what is told of each


def test_the_last_two_of_one_ve_are_taken_back_newest_first_and_each_is_told(bench: Bench) -> None:
    bench.set({"pids.max": 4})
    first = bench.set({"pids.max": 5}).id
    bench.set({"pids.max": 6}, "web2")
    second = bench.set({"cpu.max": 1}).id
    heard: list[Undone] = []
    done = undo(bench.site, Options(), ve="web1", last=2, each=heard.append)
    assert [one.record.id for one in done] == [second, first]
    assert heard == done
    assert [one.unreckoned for one in done] == ["", ""]
    assert (bench.get("pids.max"), bench.get("cpu.max")) == ("4", "max 100000")
    assert bench.kernel.get("/rctl-web2", "pids.max") == "6"


@pytest.mark.parametrize("more", [{"ve": "web1"}, {"last": 2}])
def test_an_id_goes_with_neither_a_ve_nor_a_number(bench: Bench, more: dict[str, Any]) -> None:
    done = bench.set({"pids.max": 5}).id
    with pytest.raises(UsageError) as caught:
        undo(bench.site, Options(), done, **more)
    assert str(caught.value) == "undo: an ID names one adjustment. Leave out --ve and --last"


def test_what_is_taken_back_is_told_in_one_line(bench: Bench) -> None:
    bench.set({"pids.max": 5})
    (record,) = history(bench.state)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
    assert told(record) == f"undo {record.id} ({moment}: from Python)"
    assert told(record, dry_run=True) == f"would {told(record)}"
