"""``rename`` puts a new VE in the place of an empty one: all or nothing, whatever is killed, and no undo loses both."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import default_state, make
from rctl.ve import copy
from tests.unit.fake_calls import CRASH, Crash
from tests.unit.fake_kernel import FakeKernel, state_folder
from tests.unit.shell import Shell

World = dict[tuple[str, str], str]


def rename(fault: int | None, monkeypatch: pytest.MonkeyPatch) -> tuple[World, World, int]:
    """What is there before and after, and how many operations were done; killed before the one with this number."""
    kernel = FakeKernel()
    kernel.make("/rctl-web2", enable=False)
    kernel.put("/", "cgroup.subtree_control", "+pids")
    kernel.put("/rctl-web2", "pids.max", "5")
    before = kernel.limits()
    with state_folder() as state:
        monkeypatch.setenv("RCTL_STATE", state.keep)
        with kernel.installed() as tree:
            make(default_state())
            kernel.faults = {} if fault is None else {fault: CRASH}
            with suppress(Crash):
                copy.rename(Site(tree, kernel.host, default_state()), "web2", "web3", Options(command="rename"))
            done = len(kernel.operations)
        kernel.wake()
        with kernel.installed() as tree:
            recover(Site(tree, kernel.host, default_state()), 0.05)
    return before, kernel.limits(), done


def test_a_crash_at_any_operation_of_rename_leaves_one_ve_with_all_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, length = rename(None, monkeypatch)
    assert {path for path, _ in before} == {"/", "/rctl-web2"}
    assert {path for path, _ in after} == {"/", "/rctl-web3"}
    assert after["/rctl-web3", "pids.max"] == before["/rctl-web2", "pids.max"]
    left = [rename(number, monkeypatch)[1] for number in range(length)]
    assert all(world in (before, after) for world in left)
    assert before in left
    assert after in left


def test_undo_of_an_apply_that_makes_one_ve_and_removes_one_is_no_rename(shell: Shell) -> None:
    (shell.folder / "site.toml").write_text("version = 1\n[ve.web1]\n[ve.new]\n")
    assert shell.run("apply", "site.toml", "--prune")[0] == 0
    assert "/rctl-new" in {path for path, _ in shell.kernel.limits()}
    status, out, err = shell.run("undo")
    assert (status, "rctl rename" in err) == (0, False)
    assert "web2" in out + err, "it is said that what was removed stays so"
    assert {path for path, _ in shell.kernel.limits()} == {"/", "/rctl-web1"}


def test_a_rename_that_an_older_rctl_recorded_is_known_by_its_steps(shell: Shell) -> None:
    shell.run("rename", "web2", "web3")
    place = Path(shell.state, "history.jsonl")
    line = json.loads(place.read_text())
    (made,) = [step for step in line["steps"] if step["type"] == "make"]
    assert made.pop("instead") == "/rctl-web2"
    for older in ({**line, "version": 1}, {key: value for key, value in line.items() if key != "version"}):
        place.write_text(json.dumps(older) + "\n")
        status, _, err = shell.run("undo")
        assert (status, "Take it back by: rctl rename web3 web2" in err) == (1, True)


def test_undo_of_rename_says_how_it_is_taken_back_and_changes_nothing(shell: Shell) -> None:
    shell.run("set", "web2", "pids.max=5")
    shell.run("rename", "web2", "web3")
    now = shell.kernel.limits()
    status, _, err = shell.run("undo")
    assert status == 1
    assert "put web3 in the place of web2, which undo does not make again" in err
    assert "Take it back by: rctl rename web3 web2\n" in err
    assert shell.kernel.limits() == now
    assert shell.run("rename", "web3", "web2") == (0, "web3: is web2 now\n", "")
    assert shell.kernel.get("/rctl-web2", "pids.max") == "5"
