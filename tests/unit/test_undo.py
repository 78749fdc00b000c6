"""Taking adjustments back: exactly, newest first, and never over somebody else's later change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.lifecycle import processes
from rctl.adjust.records.history import Record, history
from rctl.adjust.records.journal import Journal
from rctl.adjust.request import Around
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.adjust.steps import Enable
from rctl.adjust.undoing.choose import left, newest, newest_of, standing
from rctl.adjust.undoing.undo import undo
from rctl.cgroupfs.tree import Tree
from rctl.errors import BusyError, GoneError, NotFoundError, RctlError, UsageError
from rctl.host import Host
from rctl.limits import Limits
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder

M = 1 << 20


@dataclass
class Bench:
    """A machine with one VE, and what has been done to it."""

    kernel: FakeKernel
    tree: Tree
    state: State

    @property
    def site(self) -> Site:
        return Site(self.tree, self.kernel.host, self.state)

    def set(self, pairs: dict[str, Any], name: str = "web1") -> Account:
        asked = limits(pairs, self.kernel.host)
        return adjust(self.site, {name: asked}, Options(deadline=0.1))

    def undo(self, wanted: str | None = None, **options: Any) -> Account:
        (one,) = undo(self.site, Options(deadline=0.1, **options), wanted)
        return one.account

    def undoable(self) -> list[Record]:
        """What undo could take back, newest first."""
        return [record for record in standing(self.state) if left(self.tree, record)]

    def get(self, file: str) -> str:
        return self.kernel.get("/rctl-web1", file)


@pytest.fixture
def bench() -> Iterator[Bench]:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(101,))
    with state_folder() as state, kernel.installed() as tree:
        yield Bench(kernel, tree, state)


def test_undo_takes_back_the_last_adjustment(bench: Bench) -> None:
    bench.set({"memory.max": "1G", "cpu.max": 1})
    bench.undo()
    assert (bench.get("memory.max"), bench.get("cpu.max")) == ("max", "max 100000")


def test_undo_again_takes_back_the_one_before(bench: Bench) -> None:
    bench.set({"pids.max": 1})
    bench.set({"pids.max": 2})
    bench.undo()
    assert bench.get("pids.max") == "1"
    bench.undo()
    assert bench.get("pids.max") == "max"


def test_when_all_is_undone_there_is_nothing_left(bench: Bench) -> None:
    bench.set({"pids.max": 1})
    bench.undo()
    with pytest.raises(NotFoundError, match="nothing left to undo"):
        bench.undo()


def test_one_adjustment_is_taken_back_by_its_id(bench: Bench) -> None:
    first = bench.set({"pids.max": 1}).id
    bench.set({"cpu.max": 1})
    bench.undo(first)
    assert (bench.get("pids.max"), bench.get("cpu.max")) == ("max", "100000 100000")


def test_an_unknown_id_is_named(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="20200101-1: no such adjustment"):
        bench.undo("20200101-1")


def test_a_limit_that_was_changed_since_is_not_overwritten(bench: Bench) -> None:
    bench.set({"pids.max": 50, "memory.low": "4K"})
    bench.kernel.put("/rctl-web1", "pids.max", "60")
    with pytest.raises(RctlError, match=r"pids\.max: on /rctl-web1 is 60 now; it was 50 after"):
        bench.undo()
    assert (bench.get("pids.max"), bench.get("memory.low")) == ("60", "4096")


def test_force_overwrites_it(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    bench.kernel.put("/rctl-web1", "pids.max", "60")
    bench.undo(force=True)
    assert bench.get("pids.max") == "max"


def test_a_new_ve_of_the_same_name_is_not_touched(bench: Bench) -> None:
    account = bench.set({"pids.max": 50})
    bench.kernel.remove("/rctl-web1")
    bench.kernel.make("/rctl-web1")
    with pytest.raises(GoneError, match=f"{account.id}: its VEs were removed"):
        bench.undo(account.id)
    assert bench.get("pids.max") == "max"


@pytest.mark.parametrize("again", [True, False])
def test_undo_never_takes_back_an_older_adjustment_in_place_of_one_whose_ve_is_gone(bench: Bench, again: bool) -> None:
    bench.kernel.make("/rctl-web2")
    first = bench.set({"pids.max": 50}).id
    gone = bench.set({"pids.max": 7}, "web2").id
    bench.kernel.remove("/rctl-web2")
    if again:
        bench.kernel.make("/rctl-web2")
    assert [record.id for record in bench.undoable()] == [first]
    with pytest.raises(GoneError, match=rf"undo: the last adjustment, {gone} .* use: rctl undo {first}$"):
        bench.undo()
    assert bench.get("pids.max") == "50"
    bench.undo(first)
    assert bench.get("pids.max") == "max"
    with pytest.raises(NotFoundError, match=rf"{gone} .* nothing left to undo"):
        bench.undo()


def test_undo_names_the_first_ves_of_the_adjustments_that_it_would_have_to_skip(bench: Bench) -> None:
    bench.kernel.make("/rctl-web2")
    first = bench.set({"pids.max": 50}).id
    for number in range(3, 7):
        bench.kernel.make(f"/rctl-web{number}")
    for number in range(2, 7):
        bench.set({"pids.max": number}, f"web{number}")
        bench.kernel.remove(f"/rctl-web{number}")
    with pytest.raises(GoneError, match=rf"the last 5 adjustments .*: web6, web5, web4 and 2 more; .* {first} \("):
        bench.undo()


def test_undo_of_the_last_two_changes_nothing_when_a_ve_of_one_is_gone(bench: Bench) -> None:
    bench.kernel.make("/rctl-web2")
    gone = bench.set({"pids.max": 7}, "web2").id
    bench.kernel.remove("/rctl-web2")
    for count, flag in (2, ""), (3, " --last 2"):
        bench.set({"pids.max": 50 + count})
        with pytest.raises(GoneError) as caught:
            newest(bench.site, count)
        told = str(caught.value)
        assert told.startswith(f"undo: of the last {count} adjustments, {gone} (")
        assert "is of VEs that were removed" in told
        assert told.endswith(f" after it, use: rctl undo{flag}")
        assert len(newest(bench.site, count - 1)) == count - 1


def test_undo_of_one_ve_finds_its_own_last_adjustments(bench: Bench) -> None:
    bench.kernel.make("/rctl-web2")
    own = [bench.set({"pids.max": number}).id for number in (1, 2, 3)]
    bench.set({"pids.max": 7}, "web2")
    assert [r.id for r in newest_of(bench.site, "web1", 2)] == [own[2], own[1]]
    bench.kernel.remove("/rctl-web2")
    bench.kernel.make("/rctl-web2")
    with pytest.raises(NotFoundError, match="web2: nothing left to undo"):
        newest_of(bench.site, "web2")


def test_undo_of_one_ve_does_not_reach_other_ves(bench: Bench) -> None:
    bench.kernel.make("/rctl-web2")
    asked = limits({"pids.max": 50}, bench.kernel.host)
    both = adjust(bench.site, {"web1": asked, "web2": asked}).id
    with pytest.raises(RctlError, match=rf"{both} .* is of web2, too\. .*: rctl undo {both}$"):
        newest_of(bench.site, "web1")


def test_undo_neither_freezes_nor_thaws_by_surprise(bench: Bench) -> None:
    frozen = bench.set({"files.cgroup.freeze": 1}).id
    with pytest.raises(RctlError, match=rf"{frozen} .* only froze or thawed, .*: rctl undo {frozen}\n"):
        bench.undo()
    mixed = bench.set({"files.cgroup.freeze": 0, "pids.max": 5}).id
    account = bench.undo()
    assert (bench.get("cgroup.freeze"), bench.get("pids.max")) == ("0", "max")
    assert account.notes == ("web1: stays as frozen or thawed as it is. See rctl freeze and rctl thaw",)
    assert mixed not in [record.id for record in bench.undoable()]


@pytest.mark.parametrize("by", ["id", "force"])
def test_undo_thaws_when_asked_for(bench: Bench, by: str) -> None:
    frozen = bench.set({"files.cgroup.freeze": 1, "pids.max": 5}).id
    bench.undo(frozen if by == "id" else None, force=by == "force")
    assert (bench.get("cgroup.freeze"), bench.get("pids.max")) == ("0", "max")


def test_of_several_ves_those_that_are_left_are_taken_back(bench: Bench) -> None:
    bench.kernel.make("/rctl-web2")
    asked = limits({"pids.max": 50}, bench.kernel.host)
    adjust(bench.site, {"web1": asked, "web2": asked})
    bench.kernel.remove("/rctl-web2")
    account = bench.undo()
    assert bench.get("pids.max") == "max"
    assert [(outcome.name, outcome.status) for outcome in account.outcomes] == [("web1", "changed")]
    assert account.notes == ("web2: was removed; there is nothing to undo there",)
    assert bench.undoable() == []


def test_of_many_ves_that_are_gone_the_first_are_named(bench: Bench) -> None:
    names = [f"v{number}" for number in range(20)]
    for name in names:
        bench.kernel.make(f"/rctl-{name}")
    asked = dict.fromkeys([*names, "web1"], limits({"pids.max": 7}, bench.kernel.host))
    adjust(bench.site, asked, Options())
    for name in names:
        bench.kernel.remove(f"/rctl-{name}")
    notes = bench.undo().notes
    assert (len(notes), notes[-1]) == (4, "and 17 more that were removed")
    assert bench.get("pids.max") == "max"


def test_where_all_is_as_before_already_the_next_undo_comes_to_the_adjustment_before(bench: Bench) -> None:
    bench.set({"cpu.max": 1})
    second = bench.set({"pids.max": 50}).id
    bench.set({"memory.low": "4K"})
    bench.kernel.put("/rctl-web1", "pids.max", "max")
    bench.undo()
    account = bench.undo(force=True)
    assert (account.id, bench.get("cpu.max")) == (None, "100000 100000")
    assert account.notes == (f"{second}: all is as it was before; it counts as undone",)
    *_, told = history(bench.state)
    assert (told.undoes, told.steps) == (second, ())
    bench.undo()
    assert bench.get("cpu.max") == "max 100000"


def test_a_dry_run_where_all_is_as_before_leaves_it_to_be_undone(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    bench.kernel.put("/rctl-web1", "pids.max", "max")
    bench.undo(force=True, dry_run=True)
    assert len(bench.undoable()) == 1


@pytest.fixture
def fresh() -> Iterator[Bench]:
    """As `bench`, where no controller is enabled yet."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1", enable=False, procs=(101,))
    kernel.make("/rctl-web2", enable=False)
    with state_folder() as state, kernel.installed() as tree:
        yield Bench(kernel, tree, state)


def enabled(bench: Bench, path: str = "/") -> str:
    return bench.kernel.get(path, "cgroup.subtree_control")


def test_undo_takes_back_the_controllers_that_the_adjustment_enabled(fresh: Bench) -> None:
    fresh.set({"pids.max": 50, "memory.max": "1G", "cpuset.cpus": "0", "io.weight": 50})
    assert enabled(fresh) == "cpuset io memory pids"
    fresh.undo()
    assert enabled(fresh) == ""


def test_undo_leaves_controllers_that_somebody_uses(fresh: Bench) -> None:
    fresh.set({"pids.max": 50, "memory.max": "1G", "cpu.weight": 50})
    first = fresh.set({"cpu.weight": 60}).id
    fresh.kernel.put("/rctl-web2", "memory.high", "1000000")
    fresh.undo(first)
    fresh.set({"cpu.max": 2})
    fresh.undo(next(iter(history(fresh.state))).id)
    assert enabled(fresh) == "cpu memory"
    assert (fresh.kernel.get("/rctl-web2", "memory.high"), fresh.get("cpu.max")) == ("999424", "200000 100000")


def test_undo_below_takes_controllers_back_level_by_level(fresh: Bench) -> None:
    fresh.kernel.make("/rctl-web2/below", enable=False)
    fresh.set({"pids.max": 50}, "/rctl-web2/below")
    assert (enabled(fresh), enabled(fresh, "/rctl-web2")) == ("pids", "pids")
    fresh.undo()
    assert (enabled(fresh), enabled(fresh, "/rctl-web2")) == ("", "")


def test_controllers_do_not_stand_in_the_way(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    bench.kernel.make("/rctl-web3/app", enable=False)
    account = bench.set({"pids.max": "max"}, "/rctl-web3/app")
    assert account.id is None
    above = {path: bench.tree.walk(path).ino for path in ("/", "/rctl-web3")}
    only = Record("20301122-1", 1.0, BOOT, "", above, (Enable("/rctl-web3", ("pids",)),))  # as an older rctl wrote it
    Journal(bench.state, only).close(done=True)
    bench.undo()
    bench.undo()
    assert bench.get("pids.max") == "max"
    assert bench.undoable() == []


def test_what_was_done_before_the_last_boot_cannot_be_undone(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    rebooted = Host({"/proc/sys/kernel/random/boot_id": "later"}.__getitem__)
    with pytest.raises(UsageError, match="before the last boot"):
        undo(Site(bench.tree, rebooted, bench.state), Options())


def test_a_dry_run_of_undo_shows_it_and_leaves_it_to_be_undone(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    (outcome,) = bench.undo(dry_run=True).outcomes
    assert [step.describe() for step in outcome.steps] == ["/rctl-web1: pids.max: 50 -> max"]
    assert len(bench.undoable()) == 1


def test_undo_shrinks_memory_gently_too(bench: Bench) -> None:
    bench.set({"memory.max": "100M"})
    bench.set({"memory.max": "300M"})
    bench.kernel.make("/rctl-web1", cache=250 * M)
    bench.undo()
    assert (bench.get("memory.max"), bench.get("memory.current")) == (str(100 * M), str(100 * M))
    assert bench.kernel.kills == 0


def test_undo_of_a_shrink_leaves_alone_a_memory_high_that_was_set_since(bench: Bench) -> None:
    bench.kernel.node("/rctl-web1").cache = 90 * M
    shrunk = bench.set({"memory.max": 50 * M}).id
    bench.set({"memory.high": 40 * M})
    bench.undo(shrunk)
    assert (bench.get("memory.max"), bench.get("memory.high")) == ("max", str(40 * M))


def test_the_weight_that_idle_took_away_comes_back(bench: Bench) -> None:
    bench.set({"cpu.weight": 250})
    bench.set({"cpu.weight": "idle"})
    bench.undo()
    assert (bench.get("cpu.idle"), bench.get("cpu.weight")) == ("0", "250")


def test_an_idle_ve_becomes_idle_again(bench: Bench) -> None:
    bench.set({"cpu.weight": "idle"})
    bench.set({"cpu.weight": 250})
    bench.undo()
    assert (bench.get("cpu.idle"), bench.get("cpu.weight")) == ("1", "0")


def test_the_rates_of_a_disk_that_had_none_are_gone_again(bench: Bench) -> None:
    bench.set({"files.io.max": "8:0 rbps=1048576"})
    bench.undo()
    assert bench.get("io.max") == ""


def test_a_partition_that_had_lost_its_cpus_is_put_back_as_it_was(bench: Bench) -> None:
    bench.kernel.put("/rctl-web1", "cpuset.cpus.partition", "root")
    invalid = "root invalid (Parent unable to distribute cpu downstream)"
    assert bench.get("cpuset.cpus.partition") == invalid
    bench.set({"cpuset.partition": "member"})
    bench.undo()
    assert bench.get("cpuset.cpus.partition") == invalid


def test_a_partition_that_the_kernel_calls_invalid_is_rolled_back_with_the_reason(bench: Bench) -> None:
    before = bench.kernel.limits()
    with pytest.raises(RctlError, match=r"the kernel shows 'root invalid .*: Parent unable to"):
        bench.set({"pids.max": 5, "cpuset.cpus": "0-3", "cpuset.partition": "root"})
    assert bench.kernel.limits() == before


@pytest.mark.parametrize("became", ["root invalid (No cpu available due to hotplug)", "root"])
def test_a_partition_that_the_kernel_made_invalid_is_undone_without_force(bench: Bench, became: str) -> None:
    bench.set({"cpuset.cpus": "1", "cpuset.partition": "root"})
    bench.kernel.node("/rctl-web1").files["cpuset.cpus.partition"] = became
    bench.undo()
    assert bench.get("cpuset.cpus.partition") == "member"


@pytest.mark.parametrize("became", ["isolated", "isolated invalid (x)", "member"])
def test_a_partition_that_somebody_changed_is_not(bench: Bench, became: str) -> None:
    bench.set({"cpuset.cpus": "1", "cpuset.partition": "root"})
    bench.kernel.node("/rctl-web1").files["cpuset.cpus.partition"] = became
    with pytest.raises(RctlError, match="now; it was root after that adjustment"):
        bench.undo()


def test_the_hint_of_what_else_can_be_undone_goes_by_the_order_of_the_history(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was set back between the two."""
    real = time.time
    first = bench.set({"pids.max": 5}).id
    monkeypatch.setattr(time, "time", lambda: real() - 500 * 86400)
    bench.set({"files.cgroup.freeze": "1"})
    with pytest.raises(RctlError, match=f"take back the one before, {first}"):
        bench.undo()


def test_a_list_emptied_under_tasks_can_be_undone(bench: Bench) -> None:
    bench.set({"cpuset.cpus": "1"})
    bench.set({"cpuset.cpus": ""})
    bench.undo()
    assert bench.get("cpuset.cpus") == "1"


def test_parent_and_child_get_all_cpus_back_together(bench: Bench) -> None:
    child = bench.kernel.make("/rctl-web2/app", procs=(7,))
    asked = limits({"cpuset.cpus": "0"}, bench.kernel.host)
    adjust(bench.site, {"web2": asked, "/rctl-web2/app": asked})
    bench.undo()
    assert bench.kernel.text(child, "cpuset.cpus.effective") == "0-3\n"


def test_no_process_goes_back_into_a_ve_that_gives_controllers_by_now(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would become threaded, and its children could hold no process any more."""
    monkeypatch.setattr(processes, "check_whole", lambda pid: None)
    monkeypatch.setattr(processes, "started", lambda pid: 7)
    monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1")
    bench.kernel.make("/rctl-web2")
    bench.kernel.make("/rctl-web1/below", enable=False)
    around = Around(move=(101,))
    moved = adjust(bench.site, {"web2": Limits()}, Options(), around=around).id
    bench.set({"pids.max": 5}, "/rctl-web1/below")
    before = bench.kernel.limits()
    with pytest.raises(BusyError, match=r"/rctl-web1: gives controllers \(pids\) to its children"):
        bench.undo(moved)
    assert bench.kernel.limits() == before
    assert bench.kernel.node("/rctl-web2").procs == {101}


def test_an_undo_and_what_it_undid_are_both_out_of_the_list(bench: Bench) -> None:
    bench.set({"pids.max": 1})
    second = bench.set({"cpu.max": 1}).id
    bench.undo(bench.undoable()[-1].id)
    assert [record.id for record in bench.undoable()] == [second]
