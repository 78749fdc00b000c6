"""Freeze and thaw, and what may not stop: rctl itself, and process 1."""

from __future__ import annotations

import os

import pytest

from rctl.cgroupfs.tree import Tree
from tests.unit.shell import Shell


def test_freeze_and_thaw_are_adjustments(shell: Shell) -> None:
    assert shell.run("freeze", "web*")[0] == 0
    assert shell.kernel.get("/rctl-web1", "cgroup.freeze") == "1"
    assert shell.run("thaw", "web1")[1].splitlines()[0] == "web1: changed"
    assert shell.kernel.get("/rctl-web1", "cgroup.freeze") == "0"
    status, _, err = shell.run("undo")
    assert (status, "rctl undo " in err) == (1, True)


@pytest.mark.parametrize(
    "words",
    [("freeze", "web1"), ("freeze", "*"), ("freeze", "/"), ("set", "web*", "files.cgroup.freeze=1", "pids.max=5"),
     ("freeze", "/rctl-web1"), ("rm", "web2", "web1", "--kill"), ("rm", "web1", "--kill", "-n"), ("kill", "web1")],
)  # fmt: skip
def test_what_would_end_or_stop_rctl_itself_half_way_is_refused(shell: Shell, words: tuple[str, ...]) -> None:
    shell.kernel.node("/rctl-web1").procs.add(os.getpid())
    shell.monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1")
    assert "this rctl runs in it" in shell.refused(*words)
    assert shell.kernel.node("/rctl-web1").procs == {101, os.getpid()}
    assert shell.run("freeze", "web2")[0] == 0


@pytest.mark.parametrize(
    "words",
    [("freeze", "web1"), ("set", "web*", "files.cgroup.freeze=1"), ("set", "web1", "files.cgroup.freeze=true"),
     ("set", "web1", "files.cgroup.freeze=yes", "--over", "2s"), ("apply", "frozen.toml")],
)  # fmt: skip
def test_process_1_is_not_frozen(shell: Shell, words: tuple[str, ...]) -> None:
    shell.monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1/init" if pid == 1 else "/elsewhere")
    (shell.folder / "frozen.toml").write_text('version = 1\n[ve.web1.limits.files]\n"cgroup.freeze" = "yes"\n')
    assert "process 1 runs in it" in shell.refused(*words)
    assert shell.kernel.get("/rctl-web1", "cgroup.freeze") == "0"
    assert shell.run("freeze", "web2")[0] == 0


def test_freezing_asks_nothing_of_a_proc_that_hides_process_1(shell: Shell) -> None:
    def hidden(tree: Tree, pid: int | str) -> str:
        if pid == 1:
            raise FileNotFoundError(pid)
        return "/elsewhere"

    shell.monkeypatch.setattr(Tree, "cgroup_of", hidden)
    assert shell.run("freeze", "web1")[0] == 0


def test_undo_of_thaw_does_not_freeze_rctl_itself(shell: Shell) -> None:
    shell.run("freeze", "web1")
    shell.run("thaw", "web1")
    shell.monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/rctl-web1/shell")
    status, _, err = shell.run("undo", "--force")
    assert (status, "web1: this rctl runs in it" in err) == (2, True)
    assert shell.kernel.get("/rctl-web1", "cgroup.freeze") == "0"
