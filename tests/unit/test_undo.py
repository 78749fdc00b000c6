"""Taking adjustments back: exactly, newest first, and never over somebody else's later change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rctl.adjust.engine import Account, Options, adjust
from rctl.adjust.state import State
from rctl.adjust.undo import undo, undoable
from rctl.cgroupfs.tree import Tree
from rctl.errors import GoneError, NotFoundError, RctlError, UsageError
from rctl.host import Host
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

M = 1 << 20


@dataclass
class Bench:
    """A machine with one VE, and what has been done to it."""

    kernel: FakeKernel
    tree: Tree
    state: State

    def set(self, pairs: dict[str, Any], name: str = "web1") -> Account:
        asked = limits(pairs, self.kernel.host)
        return adjust(self.tree, {name: asked}, self.kernel.host, Options(deadline=0.1), state=self.state)

    def undo(self, wanted: str | None = None, **options: Any) -> Account:
        return undo(self.tree, self.kernel.host, Options(deadline=0.1, **options), wanted, state=self.state)

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
    with pytest.raises(RctlError, match=r"pids\.max: on /rctl-web1 is 60 by now, and was 50 after"):
        bench.undo()
    assert (bench.get("pids.max"), bench.get("memory.low")) == ("60", "4096")


def test_force_overwrites_it(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    bench.kernel.put("/rctl-web1", "pids.max", "60")
    bench.undo(force=True)
    assert bench.get("pids.max") == "max"


def test_a_new_ve_of_the_same_name_is_not_touched(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    bench.kernel.remove("/rctl-web1")
    bench.kernel.make("/rctl-web1")
    with pytest.raises(GoneError, match="another VE of the same name"):
        bench.undo()


def test_what_was_done_before_the_last_boot_cannot_be_undone(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    rebooted = Host({"/proc/sys/kernel/random/boot_id": "later"}.__getitem__)
    with pytest.raises(UsageError, match="before the last boot"):
        undo(bench.tree, rebooted, Options(), None, state=bench.state)


def test_a_dry_run_of_undo_shows_it_and_leaves_it_to_be_undone(bench: Bench) -> None:
    bench.set({"pids.max": 50})
    (outcome,) = bench.undo(dry_run=True).outcomes
    assert [step.describe() for step in outcome.steps] == ["/rctl-web1: pids.max: 50 -> max"]
    assert len(undoable(bench.state)) == 1


def test_undo_shrinks_memory_gently_too(bench: Bench) -> None:
    bench.set({"memory.max": "100M"})
    bench.set({"memory.max": "300M"})
    bench.kernel.make("/rctl-web1", cache=250 * M)
    bench.undo()
    assert (bench.get("memory.max"), bench.get("memory.current")) == (str(100 * M), str(100 * M))
    assert bench.kernel.kills == 0


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


def test_a_list_emptied_under_tasks_can_be_undone(bench: Bench) -> None:
    bench.set({"cpuset.cpus": "1"})
    bench.set({"cpuset.cpus": ""})
    bench.undo()
    assert bench.get("cpuset.cpus") == "1"


def test_parent_and_child_get_all_cpus_back_together(bench: Bench) -> None:
    child = bench.kernel.make("/rctl-web2/app", procs=(7,))
    asked = limits({"cpuset.cpus": "0"}, bench.kernel.host)
    adjust(bench.tree, {"web2": asked, "/rctl-web2/app": asked}, bench.kernel.host, state=bench.state)
    bench.undo()
    assert bench.kernel.text(child, "cpuset.cpus.effective") == "0-3\n"


def test_an_undo_and_what_it_undid_are_both_out_of_the_list(bench: Bench) -> None:
    bench.set({"pids.max": 1})
    second = bench.set({"cpu.max": 1}).id
    bench.undo(undoable(bench.state)[-1].id)
    assert [record.id for record in undoable(bench.state)] == [second]
