"""Refusals: everything is as it was, the error is one line, and no journal is left."""

import os
from pathlib import Path

import pytest

from rctl.adjust.records.history import history
from rctl.adjust.state_folder import State
from rctl.cgroupfs.tree import Tree
from rctl.errors import BusyError, GoneError, KernelError, NotAvailableError, NotFoundError, UsageError
from tests.kernel.helpers import MOUNT, Recorder, Ve, no_journal, refused, set_all
from tests.kernel.workload import sleeper

BEFORE = {"pids.max": 100, "memory.max": "200M", "cpu.weight": 50}
WANTED = {"pids.max": 50, "memory.max": "100M", "cpu.weight": 200, "cpu.max": 0.5}


def test_a_ve_that_is_not_there(tree: Tree) -> None:
    with refused(NotFoundError, "nobody: there is no such VE"):
        Ve(tree, "nobody").set(WANTED)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_ve_removed_during_its_adjustment(ve: Ve, other: Ve, number: int) -> None:
    set_all(ve.tree, {ve: BEFORE, other: BEFORE})
    with refused(GoneError, f"^{other.path}: the cgroup was removed meanwhile", ve) as caught:
        set_all(ve.tree, {other: WANTED, ve: WANTED}, Recorder(number, other.dir.rmdir))
    assert {outcome.status for outcome in caught.value.account.outcomes} <= {"rolled back", "not reached"}


def test_a_ve_removed_and_made_again_is_another_ve(ve: Ve, other: Ve) -> None:
    """The name is the same, the inode is not: what was meant for the old one never reaches the new one."""
    set_all(ve.tree, {ve: BEFORE, other: BEFORE})
    fresh: dict[str, str] = {}

    def replace() -> None:
        other.dir.rmdir()
        other.dir.mkdir()
        fresh.update(other.snapshot())

    with refused(GoneError, f"^{other.path}: the cgroup was removed", ve):
        set_all(ve.tree, {other: WANTED, ve: WANTED}, Recorder(2, replace))
    assert other.snapshot() == fresh


def test_the_only_ve_removed_right_after_the_journal(ve: Ve) -> None:
    with pytest.raises(GoneError) as caught:
        ve.set(WANTED, Recorder(1, ve.dir.rmdir))
    assert "\n" not in str(caught.value)
    assert no_journal()


def test_a_controller_for_a_cgroup_whose_parent_has_processes(scratch: Path, tree: Tree, state: State) -> None:
    (scratch / "below").mkdir()
    sleeper(scratch)
    parent = Ve(tree, f"/{scratch.relative_to(MOUNT)}")
    below = Ve(tree, f"{parent.path}/below")
    with refused(BusyError, "^memory.max: .* has 1 process.es. of its own: .* Move them into a child", parent, below):
        set_all(tree, {parent: {"cpu.weight": 300}, below: {"memory.max": "10M"}})
    assert list(history(state)) == []


def test_a_value_that_the_kernel_refuses_in_the_last_of_many_ves(ve: Ve, other: Ve) -> None:
    set_all(ve.tree, {ve: BEFORE, other: BEFORE})
    with refused(KernelError, "EINVAL", ve, other):
        set_all(ve.tree, {ve: WANTED, other: WANTED | {"files.cgroup.max.depth": "deep"}})


def test_controllers_enabled_for_a_refused_adjustment_are_disabled_again(ve: Ve, place: Path) -> None:
    before = (place / "cgroup.subtree_control").read_text()
    with refused(KernelError, "cgroup.max.depth", ve):
        ve.set(WANTED | {"io.weight": 50, "files.cgroup.max.depth": "deep"})
    assert (place / "cgroup.subtree_control").read_text() == before


def test_an_error_in_the_callers_own_progress_rolls_back(ve: Ve) -> None:
    ve.set(BEFORE)
    before = ve.snapshot()

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ve.set(WANTED, Recorder(3, fail))
    assert ve.snapshot() == before
    assert no_journal()


def test_the_root_cgroup_has_no_limits(tree: Tree) -> None:
    with refused(NotAvailableError, "memory.max: the root cgroup takes no such limit"):
        Ve(tree, "/").set({"memory.max": "1G"})


@pytest.mark.parametrize("name", ["../etc", "a/b", "web 1", "", "/a/../b", "x" * 65])
def test_names_that_could_lead_out_of_the_tree(tree: Tree, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        tree.open_ve(name)
    assert "\n" not in str(caught.value)


def test_nothing_is_written_when_all_is_as_wished(ve: Ve, state: State) -> None:
    ve.set(WANTED)
    account = ve.set(WANTED)
    assert (account.id, account.outcomes[0].status) == (None, "unchanged")
    assert len(list(history(state))) == 1


def test_dry_run_tells_the_plan_and_changes_nothing(ve: Ve, state: State) -> None:
    before = ve.snapshot()
    account = ve.set(WANTED, dry_run=True)
    assert account.outcomes[0].status == "planned"
    described = [step.describe() for outcome in account.outcomes for step in outcome.steps]
    assert f"{ve.path}: pids.max: max -> 50" in described
    assert ve.snapshot() == before
    assert not os.path.exists(state.history)
