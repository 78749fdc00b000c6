"""kill -9 at any operation of a rolling change or a ramp: whole parts are left, and all of it can go on or go back."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fake_calls import CRASH, Crash
from tests.unit.fake_kernel import FakeKernel, state_folder
from tests.unit.shell import Shell

LIMITS = ("pids.max", "cpu.weight")
OLD, NEW = ("50", "100"), ("5", "200")
SET = ["set", "web1", "web2", "pids.max=5", "cpu.weight=200"]
BATCHES = [[OLD, OLD], [NEW, OLD], [NEW, NEW]]
STEPS = [[step, step] for step in (OLD, ("35", "133"), ("20", "166"), NEW)]
EVERY = 3
"""Of so many operations, one is tried."""


def found(kernel: FakeKernel) -> list[tuple[str, ...]]:
    return [tuple(kernel.get(f"/rctl-{ve}", file) for file in LIMITS) for ve in ("web1", "web2")]


@pytest.mark.parametrize(
    ("words", "allowed"),
    [([*SET, "--batch", "1"], BATCHES), ([*SET, "--over", "1ms", "--steps", "3"], STEPS)],
    ids=["rolling", "ramp"],
)
def test_whole_parts_are_left(
    words: list[str],
    allowed: list[list[tuple[str, ...]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def killed(at: int) -> int:
        """Type the command, kill rctl before that operation, and look. Returns the number of operations."""
        kernel = FakeKernel()
        kernel.make("/rctl-web1")
        kernel.make("/rctl-web2")
        with state_folder() as state:
            monkeypatch.setenv("RCTL_STATE", state.keep)

            def shell(machine: FakeKernel) -> Shell:
                return Shell(machine, tmp_path, monkeypatch, capsys, state.keep)

            with kernel.installed(), suppress(Crash):
                assert shell(kernel).run("set", "web1", "web2", "pids.max=50", "cpu.weight=100")[0] == 0
                kernel.operations.clear()
                kernel.faults = {at: CRASH}
                shell(kernel).run(*words)
            capsys.readouterr()
            after = kernel.copy()
            with after.installed():
                look(shell(after), f"{state.keep}/run/changes", at)
        return len(kernel.operations)

    def look(shell: Shell, changes: str, at: int) -> None:
        told: Any = shell.run("recover")
        assert found(shell.kernel) in allowed, (at, told)
        for change in os.listdir(changes) if os.path.exists(changes) else ():
            assert shell.run("set", "--retry", change)[0] == 0, at
            assert found(shell.kernel) == [NEW, NEW], at
        if found(shell.kernel) != [OLD, OLD]:
            assert shell.run("undo")[0] == 0, at
        assert found(shell.kernel) == [OLD, OLD], at

    count = killed(-1)
    for at in range(0, count, EVERY):
        killed(at)


def test_a_request_that_was_not_written_to_its_end_is_no_change(shell: Shell) -> None:
    folder = Path(shell.state) / "run" / "changes"
    folder.mkdir(parents=True, mode=0o700)
    for path in (folder.parent, folder):
        path.chmod(0o700)
    draft = folder / "20261130-120000-000-0123abcd.new"
    draft.write_text('{"id":"2026')
    assert "no rolling change with this id is unfinished" in shell.run("set", "--retry", draft.stem)[2]
    assert shell.run("set", "web1", "pids.max=5", "--batch", "1")[0] == 0
    assert list(folder.iterdir()) == [], "the next one clears it away"
