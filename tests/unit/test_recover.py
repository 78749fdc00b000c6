"""After a crash: what recovery does, and what it says. Crashes at every operation are in test_engine_faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.history import Record, history
from rctl.adjust.journal import Journal, left_open
from rctl.adjust.plan import Enable, Set, Step
from rctl.adjust.recover import recover
from rctl.adjust.state import State, make
from rctl.cgroupfs.tree import Tree
from rctl.errors import RctlError, RollbackError
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder

PIDS = Set("/rctl-web1", "pids.max", "max", "50")
LOW = Set("/rctl-web1", "memory.low", "0", "4096")


@pytest.fixture
def kernel() -> FakeKernel:
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    return kernel


@pytest.fixture
def tree(kernel: FakeKernel) -> Iterator[Tree]:
    with kernel.installed() as tree:
        yield tree


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


def crashed(kernel: FakeKernel, state: State, *steps: Step, name: str = "20261122-1", boot: str = BOOT) -> None:
    """A journal whose process is gone."""
    inodes = {step.path: kernel.node(step.path).ino for step in steps}
    Journal(state, Record(name, 1.0, boot, "rctl set web1", inodes, steps)).abandon()


def test_with_no_journal_there_is_nothing_to_recover(tree: Tree, state: State) -> None:
    assert recover(tree, BOOT, state, 1) == []


def test_half_of_an_adjustment_is_rolled_back(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    assert recover(tree, BOOT, state, 1) == [
        "recovered 20261122-1 (rctl set web1): rolled back to what was there before"
    ]
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_all_of_an_adjustment_is_rolled_forward_and_can_be_undone(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.put("/rctl-web1", "memory.low", "4096")
    assert "rolled forward, all of it had been written" in recover(tree, BOOT, state, 1)[0]
    assert [record.id for record in history(state)] == ["20261122-1"]


def test_an_adjustment_that_had_ended_is_not_told_twice(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS)
    line = Path(state.journals, "20261122-1.json").read_bytes()
    Path(state.history).write_bytes(line + b"\n")
    assert "rolled forward, it had ended" in recover(tree, BOOT, state, 1)[0]
    assert len(list(history(state))) == 1


def test_a_journal_from_before_the_last_boot_needs_nothing(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS, boot="an older one")
    kernel.put("/rctl-web1", "pids.max", "50")
    assert "its VEs went with the last boot" in recover(tree, BOOT, state, 1)[0]
    assert kernel.get("/rctl-web1", "pids.max") == "50"
    assert left_open(state) == []


def test_a_ve_that_is_gone_needs_nothing(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS)
    kernel.remove("/rctl-web1")
    recover(tree, BOOT, state, 1)
    assert left_open(state) == []


def test_several_crashes_are_settled_newest_first(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS, name="1")
    crashed(kernel, state, Set("/rctl-web1", "pids.max", "50", "70"), LOW, name="2")
    kernel.put("/rctl-web1", "pids.max", "70")
    told = recover(tree, BOOT, state, 1)
    assert [line.split()[1] for line in told] == ["2", "1"]
    assert kernel.get("/rctl-web1", "pids.max") == "50"


def test_controllers_that_were_enabled_are_disabled_again(tree: Tree, state: State, kernel: FakeKernel) -> None:
    crashed(kernel, state, Enable("/rctl-web1", ("pids",)), PIDS)
    kernel.put("/rctl-web1", "cgroup.subtree_control", "+pids")
    recover(tree, BOOT, state, 1)
    assert kernel.get("/rctl-web1", "cgroup.subtree_control") == ""


def test_controllers_that_a_child_has_come_to_use_stay(tree: Tree, state: State, kernel: FakeKernel) -> None:
    kernel.make("/rctl-web1/app", enable=False)
    crashed(kernel, state, Enable("/rctl-web1", ("pids",)), PIDS)
    kernel.put("/rctl-web1", "cgroup.subtree_control", "+pids")
    kernel.put("/rctl-web1/app", "cgroup.subtree_control", "+pids")
    recover(tree, BOOT, state, 1)
    assert kernel.get("/rctl-web1", "cgroup.subtree_control") == "pids"


def test_what_cannot_be_put_back_keeps_its_journal_until_it_can(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.broken = lambda op: 5 if op.kind == "write" else None
    with pytest.raises(RollbackError, match=r"20261122-1 .*not put back: pids\.max: .*run rctl recover again"):
        recover(tree, BOOT, state, 1)
    kernel.broken = lambda op: None
    recover(tree, BOOT, state, 1)
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_a_file_that_is_no_journal_stops_everything_and_is_named(tree: Tree, state: State) -> None:
    Path(state.journals, "x.json").write_bytes(b"\x00")
    with pytest.raises(RctlError, match=r"x\.json: not a journal of rctl"):
        recover(tree, BOOT, state, 1)


def test_the_next_adjustment_recovers_first_and_says_so(kernel: FakeKernel, tree: Tree, state: State) -> None:
    crashed(kernel, state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    asked = limits({"cpu.max": 1}, kernel.host)
    account = adjust(tree, {"web1": asked}, kernel.host, Options(), state=state)
    assert "rolled back" in account.notes[0]
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_an_adjustment_that_is_still_under_way_is_left_alone(kernel: FakeKernel, tree: Tree, state: State) -> None:
    inodes = {"/rctl-web1": kernel.node("/rctl-web1").ino}
    living = Journal(state, Record("1", 1.0, BOOT, "", inodes, (PIDS, LOW)))
    kernel.put("/rctl-web1", "pids.max", "50")
    assert recover(tree, BOOT, state, 1) == []
    assert kernel.get("/rctl-web1", "pids.max") == "50"
    living.abandon()
