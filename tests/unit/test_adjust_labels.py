"""Labels of a spec are steps of the adjustment: all or nothing with limits, shown, undone, settled after a crash."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.records.history import latest
from rctl.adjust.records.journal import left_open
from rctl.adjust.recovery.recover import recover
from rctl.adjust.request import Around
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Label
from rctl.adjust.undoing.undo import undo
from rctl.cgroupfs.tree import Tree
from rctl.errors import RctlError
from tests.unit.fake_calls import CRASH, INTERRUPT, Crash
from tests.unit.fake_kernel import FakeKernel, limits, state_folder
from tests.unit.shell import Shell

PREFIX = "user.rctl.label."
SPEC = """version = 1
[ve.web1.limits]
pids.max = 5
[ve.web1.labels]
env = "prod"
tier = "front"
[ve.web2.labels]
env = "prod"
[ve.new.limits]
pids.max = 7
[ve.new.labels]
env = "prod"
"""
World = tuple[dict[tuple[str, str], str], dict[str, dict[str, str]]]


def labels(kernel: FakeKernel, path: str) -> dict[str, str]:
    """What a cgroup has."""
    return {key.removeprefix(PREFIX): value.decode() for key, value in kernel.node(path).labels.items()}


def world(kernel: FakeKernel) -> World:
    """Limits and labels of all cgroups."""
    return kernel.limits(), {path: labels(kernel, path) for path in sorted({path for path, _ in kernel.limits()})}


def put(kernel: FakeKernel, path: str, pairs: Mapping[str, str]) -> None:
    """Somebody labels a cgroup."""
    kernel.node(path).labels |= {PREFIX + key: value.encode() for key, value in pairs.items()}


def apply(shell: Shell, *words: str) -> tuple[int, str, str]:
    """Apply the spec."""
    (shell.folder / "spec.toml").write_text(SPEC)
    return shell.run("apply", "spec.toml", *words)


# What is shown


def test_a_dry_run_shows_the_labels_and_puts_on_none(shell: Shell) -> None:
    put(shell.kernel, "/rctl-web1", {"env": "test", "tier": "front"})
    before = world(shell.kernel)
    status, out, _ = apply(shell, "--dry-run")
    assert (status, world(shell.kernel)) == (0, before)
    assert out.split("\n") == [
        "web1: planned", "  pids.max: max -> 5", "  label env: test -> prod",
        "web2: planned", "  label env: (none) -> prod",
        "new: planned", "  mkdir", "  pids.max: max -> 7", "  label env: (none) -> prod", "",
    ]  # fmt: skip
    assert "~ web1: label env: test -> prod" in shell.run("diff", "spec.toml")[1].splitlines()


def test_apply_shows_what_a_dry_run_did_and_then_has_nothing_to_do(shell: Shell) -> None:
    status, out, _ = apply(shell)
    assert status == 0
    assert "web2: changed\n  label env: (none) -> prod\n" in out
    assert labels(shell.kernel, "/rctl-web1") == {"env": "prod", "tier": "front"}
    assert labels(shell.kernel, "/rctl-new") == {"env": "prod"}
    assert shell.run("diff", "spec.toml")[1] == ""
    assert json.loads(apply(shell, "--json")[1])["labelled"] == []


def test_the_history_counts_labels_and_has_each_of_them(shell: Shell) -> None:
    apply(shell)
    (record,) = json.loads(shell.run("history", "--json")[1])
    found = [step for step in record["steps"] if step["type"] == "label"]
    assert {"type": "label", "path": "/rctl-web2", "key": "env", "old": None, "new": "prod"} in found
    assert len(found) == 4
    assert shell.run("history")[1].splitlines()[1].split()[3:5] == ["3", "6"]  # VEs, writes


def test_only_a_record_with_labels_is_of_the_version_that_has_them(shell: Shell) -> None:
    """An rctl from before them reads all others."""
    shell.run("set", "web1", "pids.max=9")
    apply(shell)
    shell.run("undo")
    found = json.loads(shell.run("history", "--json")[1])
    assert [record["version"] for record in found] == [3, 3, 2]


# What undo does


def test_undo_takes_labels_back(shell: Shell) -> None:
    put(shell.kernel, "/rctl-web1", {"env": "test", "mine": "x"})
    before = world(shell.kernel)
    apply(shell)
    assert "label env: prod -> test" in shell.run("undo", "--dry-run")[1]
    assert shell.run("undo")[0] == 0
    assert world(shell.kernel) == before
    assert "nothing left to undo" in shell.run("undo")[2]


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("/rctl-web1", "env", "mine"),
        ("/rctl-web2", "env", None),
        ("/rctl-new", "env", "mine"),
        ("/rctl-new", "own", "x"),
    ],
    ids=["changed", "taken away", "changed on a VE that would go", "put on a VE that would go"],
)
def test_undo_overwrites_no_label_that_somebody_changed_since(
    shell: Shell, path: str, key: str, value: str | None
) -> None:
    before = world(shell.kernel)
    apply(shell)
    if value is None:
        del shell.kernel.node(path).labels[PREFIX + key]
    else:
        put(shell.kernel, path, {key: value})
    now = world(shell.kernel)
    status, _, err = shell.run("undo")
    assert status == 1
    assert f"label {key}: on {path} is {value or '(none)'} now; it was " in err
    assert "Look at it with rctl label, or overwrite it with --force" in err
    assert world(shell.kernel) == now
    assert shell.run("undo", "--force")[0] == 0
    assert world(shell.kernel) == before


def test_a_dry_run_of_several_shows_what_each_undo_then_does(shell: Shell) -> None:
    apply(shell)
    (shell.folder / "later.toml").write_text("version = 1\n[ve.web1.labels]\nenv = 'test'\nown = 'x'\n")
    assert shell.run("apply", "later.toml")[0] == 0
    planned = shell.run("undo", "--last", "2", "--dry-run")[1]
    assert "label env: test -> prod" in planned
    assert "label env: prod -> (none)" in planned
    done = shell.run("undo", "--last", "2")[1]
    assert planned.count("label") == done.count("label") == 5


def test_undo_leaves_labels_alone_that_the_adjustment_did_not_touch(shell: Shell) -> None:
    apply(shell)
    put(shell.kernel, "/rctl-web2", {"own": "x"})
    assert shell.run("undo")[0] == 0
    assert labels(shell.kernel, "/rctl-web2") == {"own": "x"}


def test_undo_of_an_apply_that_froze_and_labelled_takes_the_label_back(shell: Shell) -> None:
    (shell.folder / "spec.toml").write_text(
        "version = 1\n[ve.web2.limits]\nfiles.'cgroup.freeze' = 1\n[ve.web2.labels]\nenv = 'prod'\n"
    )
    assert shell.run("apply", "spec.toml")[0] == 0
    assert shell.run("undo")[0] == 0
    assert (labels(shell.kernel, "/rctl-web2"), shell.kernel.get("/rctl-web2", "cgroup.freeze")) == ({}, "1")


# What is refused before anything is written


def test_a_value_that_can_be_no_label_is_refused_with_its_cure(shell: Shell) -> None:
    """A journal with it would not be believed."""
    put(shell.kernel, "/rctl-web1", {"env": "a\nb"})
    before = world(shell.kernel)
    status, _, err = apply(shell)
    assert (status, len(err.splitlines())) == (1, 1)
    assert (
        "label env: on /rctl-web1 has a value that no label can have. Take it away: rctl label web1 --remove env" in err
    )
    assert world(shell.kernel) == before
    assert shell.run("label", "web1", "--remove", "env")[0] == 0
    assert apply(shell)[0] == 0


def test_who_may_not_label_a_ve_is_told_before_anything_is_written(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world(shell.kernel)
    from rctl.cgroupfs.cgroup import Cgroup

    monkeypatch.setattr(Cgroup, "may_write", lambda cgroup, name: (cgroup.path, name) != ("/rctl-web2", "."))
    for words in (["--dry-run"], []):
        status, _, err = apply(shell, *words)
        assert (status, "/rctl-web2: label env cannot be set: EACCES" in err) == (1, True), err
    assert world(shell.kernel) == before


# Crashes and faults at every operation

GIVEN = Around(make=("web1", "new"), labels={"web1": {"env": "prod", "old": None}, "new": {"env": "prod"}})


def machine() -> FakeKernel:
    """A VE with two labels."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    put(kernel, "/rctl-web1", {"env": "test", "old": "x"})
    return kernel


def run(tree: Tree, kernel: FakeKernel, state: State) -> None:
    """Limits, and labels put on, changed and taken away."""
    asked = {name: limits({"pids.max": 9, "memory.low": "1M"}, kernel.host) for name in ("web1", "new")}
    adjust(Site(tree, kernel.host, state), asked, Options(deadline=0.05, command="labelled"), around=GIVEN)


def whole() -> tuple[World, World, int]:
    """The old state, the new one, and how many operations lie between."""
    kernel = machine()
    old = world(kernel)
    with state_folder() as state, kernel.installed() as tree:
        run(tree, kernel, make(state))
    assert labels(kernel, "/rctl-web1") == {"env": "prod"}
    return old, world(kernel), len(kernel.operations)


def crashed(kernel: FakeKernel, state: State, number: int) -> None:
    """Kill the adjustment before the operation of this number."""
    with kernel.installed() as tree:
        make(state)
        kernel.faults = {number: CRASH}
        with suppress(Crash):
            run(tree, kernel, state)
    kernel.wake()


def test_a_crash_at_any_operation_leaves_limits_and_labels_or_neither() -> None:
    old, new, length = whole()
    said = set()
    for number in range(length):
        kernel = machine()
        with state_folder() as state:
            crashed(kernel, state, number)
            with kernel.installed() as tree:
                told = recover(Site(tree, kernel.host, state), 1)
                assert world(kernel) in (old, new), number
                assert [("rolled forward" in line) for line in told] in ([], [world(kernel) == new])
                assert left_open(state) == []
                assert [r.command for r in latest(state)] == ["labelled"] * (world(kernel) == new)
                said |= {"forward" if "rolled forward" in line else "back" for line in told}
                if world(kernel) == new:
                    undo(Site(tree, kernel.host, state), Options())
                    assert world(kernel) == old
    assert said == {"forward", "back"}


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC, INTERRUPT])
def test_a_fault_at_any_operation_leaves_limits_and_labels_or_neither(fault: int | str) -> None:
    old, new, length = whole()
    for number in range(length):
        kernel = machine()
        with state_folder() as state, kernel.installed() as tree:
            make(state)
            kernel.faults = {number: fault}
            failed = False
            try:
                run(tree, kernel, state)
            except (RctlError, KeyboardInterrupt, OSError):
                failed = True
            if left_open(state):
                kernel.faults = {}
                recover(Site(tree, kernel.host, state), 1)
            assert world(kernel) in ((old, new) if failed else (new,)), kernel.operations[number]


def test_recover_keeps_a_label_that_somebody_changed_since_and_says_so() -> None:
    kernel = machine()
    with state_folder() as state, kernel.installed() as tree:
        run(tree, kernel, make(state))
    at = next(n for n, op in enumerate(kernel.operations) if (op.kind, op.path) == ("label", "/rctl-new"))
    kernel = machine()
    with state_folder() as state:
        crashed(kernel, state, at)
        put(kernel, "/rctl-web1", {"env": "mine"})
        with kernel.installed() as tree:
            (told,) = recover(Site(tree, kernel.host, state), 1)
    assert "rolled back to what was there before; /rctl-web1: label env was changed by somebody else since" in told
    assert labels(kernel, "/rctl-web1") == {"env": "mine", "old": "x"}
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_a_label_has_one_line_for_people() -> None:
    assert Label("/rctl-a", "env", None, "prod").describe() == "/rctl-a: label env: (none) -> prod"
    assert Label("/rctl-a", "env", "", None).describe() == '/rctl-a: label env: "" -> (none)'


def test_a_label_that_goes_while_the_labels_are_read_hides_no_other(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shell.kernel, "/rctl-web1", {"env": "test"})
    listed = os.listxattr
    monkeypatch.setattr(os, "listxattr", lambda fd: [PREFIX + "gone", *listed(fd)])
    assert shell.run("label", "web1")[1].split()[-1] == "env=test"
