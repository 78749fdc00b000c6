"""``rename`` puts a new VE in the place of an empty one: all or nothing, whatever is killed, and no undo loses both."""

from __future__ import annotations

from contextlib import suppress

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state import default_state, make
from rctl.ve import alike
from tests.unit.fake_kernel import BOOT, CRASH, Crash, FakeKernel, state_folder
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
                alike.rename(Site(tree, kernel.host, default_state()), "web2", "web3", Options(command="rename"))
            done = len(kernel.operations)
        kernel.wake()
        with kernel.installed() as tree:
            recover(tree, BOOT, default_state(), 0.05)
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
