"""Ctrl-C at any line of rctl: what rctl says became of the adjustment is what became of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import rctl
from rctl import cli
from rctl.adjust.records.journal import left_open
from rctl.cgroupfs.cgroup import Cgroup
from tests.unit.fake_kernel import FakeKernel, state_folder
from tests.unit.shell import Shell

ROOT = os.path.dirname(rctl.__file__) + os.sep
SPEC = """version = 1
[ve.web1.limits]
pids.max = 9
[ve.new.limits]
cpu.max = 1
"""
EVERY = 23
"""Of so many lines, one is tried."""


class Stop:
    """Sends Ctrl-C when rctl has come so many lines far; counts them."""

    def __init__(self, at: int) -> None:
        self.at, self.lines = at, 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        return self._line if frame.f_code.co_filename.startswith(ROOT) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                signal.raise_signal(signal.SIGINT)  # it waits where rctl holds signals back
        return self._line


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, cli._interrupt)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # while a generator is closed
@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["set", "web1", "web2", "pids.max=5", "memory.max=1G"], []),
        (["set", "/x/y", "pids.max=5"], []),
        (["apply", "site.toml", "--prune"], []),
        (["rm", "web2"], []),
        (["rename", "web2", "web3"], []),
        (["undo"], ["set", "web1", "web2", "pids.max=5", "memory.max=1G"]),
    ],
    ids=lambda words: words[0] if words else "",
)
def test_what_is_said_after_ctrl_c_is_true(
    words: list[str], first: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.toml").write_text(SPEC)
    count, *_ = stopped(0, words, first, tmp_path, monkeypatch, capsys)
    for at in range(EVERY, count, EVERY):
        _, status, out, err, before, after, done = stopped(at, words, first, tmp_path, monkeypatch, capsys)
        if status == 0:  # it came when all was said, or where Python raises nothing
            continue
        assert (status, len(err.splitlines())) == (130, 1), (at, err)
        if "rctl recover completes it" in err:
            assert done is None, at  # a journal is left
        elif "was completed" in err or out:
            assert done is True, at
        else:
            assert ("was put back" in err or err == "rctl: interrupted\n", before, done) == (True, after, False), at


def test_a_close_that_is_interrupted_closes_nothing_of_others(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for at in range(1, 9):
        cgroup = Cgroup("/ve", os.open(tmp_path, os.O_RDONLY))
        sys.settrace(Stop(at))
        try:
            with suppress(KeyboardInterrupt):
                cgroup.close()
        finally:
            sys.settrace(None)
        with open(__file__) as other:  # it has that descriptor now, if it was closed
            cgroup.close()
            os.fstat(other.fileno())


def stopped(
    at: int, words: list[str], first: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> tuple[Any, ...]:
    """Type a command and stop it there. Returns the lines of rctl that ran, exit status, standard output and error.

    And the limits before and after, and whether the history got a line; ``None``: a journal is left open.
    """
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(101,))
    kernel.make("/rctl-web2")
    kernel.make("/x/y", enable=False)
    with state_folder() as state, kernel.installed():
        monkeypatch.setenv("RCTL_STATE", state.keep)
        shell = Shell(kernel, folder, monkeypatch, capsys, state.keep)
        assert not first or shell.run(*first)[0] == 0
        before, history = kernel.limits(), _lines(state.history)
        stop = Stop(at)
        sys.settrace(stop)
        try:
            told = shell.run(*words)
        except cli.Interrupted as error:  # before the verb was looked at, where main() tells it
            told = (error.exit_status, "", "rctl: interrupted\n")
        finally:
            sys.settrace(None)
        done = None if left_open(state) else _lines(state.history) > history
        return stop.lines, *told, before, kernel.limits(), done


def _lines(path: str) -> int:
    return len(Path(path).read_text().splitlines()) if os.path.exists(path) else 0


def in_ves(limits: dict[tuple[str, str], str]) -> list[tuple[str, str]]:
    """The two limits of web1 and web2."""
    return [
        (limits.get((f"/rctl-{ve}", "pids.max"), "max"), limits.get((f"/rctl-{ve}", "cpu.weight"), "100"))
        for ve in ("web1", "web2")
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_rolling_change_leaves_whole_batches_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words = ["set", "web1", "web2", "pids.max=5", "cpu.weight=200", "--batch", "1"]
    count, *_ = stopped(0, words, [], tmp_path, monkeypatch, capsys)
    for at in range(EVERY, count, EVERY):
        _, status, _, err, _, after, done = stopped(at, words, [], tmp_path, monkeypatch, capsys)
        if done is None:  # rctl recover settles it
            continue
        ves = in_ves(after)
        assert set(ves) <= {("max", "100"), ("5", "200")}, at
        assert ves in ([("max", "100")] * 2, [("5", "200"), ("max", "100")], [("5", "200")] * 2), at
        if "VEs are changed and stay" in err:
            assert f"{ves.count(('5', '200'))} of 2 VEs are changed" in err, at
        elif "nothing was changed" in err or (status and not done):
            assert ves == [("max", "100")] * 2, at


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_ramp_puts_all_back_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words = ["set", "web1", "web2", "pids.max=5", "cpu.weight=200", "--over", "1ms", "--steps", "3"]
    first = ["set", "web1", "web2", "pids.max=50", "cpu.weight=100"]
    count, *_ = stopped(0, words, first, tmp_path, monkeypatch, capsys)
    for at in range(EVERY, count, EVERY):
        _, status, out, err, before, after, done = stopped(at, words, first, tmp_path, monkeypatch, capsys)
        if done is None:
            continue
        if "step 3 of 3" in out and in_ves(after) != in_ves(before):  # it was at its goal, and said so
            assert in_ves(after) == [("5", "200")] * 2, at
        else:
            assert (status, in_ves(after)) == (130, in_ves(before)), (at, err)
