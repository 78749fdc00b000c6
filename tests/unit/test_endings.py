"""Every ending is one line or silence, with the right status: closed streams, full disks, signals that come twice."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rctl import cli
from tests.unit.shell import Shell

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
STOPPED = "rctl: interrupted; an adjustment under way was put back. See rctl history\n"


def ended(words: Sequence[str], state: Path, closed: Sequence[int] = (), **streams: Any) -> tuple[int, str, str]:
    """Exit status and what was said, of rctl as a process in which these descriptors are closed."""

    def close() -> None:
        for fd in closed:
            os.close(fd)

    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    environment = {**os.environ, "RCTL_STATE": str(state)}
    done = subprocess.run(
        [sys.executable, "-m", "rctl", *words], **given, text=True, check=False, preexec_fn=close, env=environment
    )
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.parametrize("words", [["help"], ["set", "web1"]])
def test_closed_standard_streams_end_in_no_traceback(tmp_path: Path, words: list[str]) -> None:
    normal, _, said = ended(words, tmp_path)
    for closed in (c for n in (1, 2, 3) for c in itertools.combinations(range(3), n)):
        status, _, err = ended(words, tmp_path, closed)
        lost = 1 in closed and not normal
        assert status == (1 if lost else normal), (closed, err)
        told = "rctl: standard output: Bad file descriptor\n" if lost else said
        assert err == ("" if 2 in closed else told), closed


@pytest.mark.parametrize("words", [["help"], ["set", "web1"]])
@pytest.mark.parametrize("place", ["/dev/full", "a pipe that nobody reads"])
def test_streams_that_take_nothing_end_in_no_traceback(tmp_path: Path, words: list[str], place: str) -> None:
    normal = ended(words, tmp_path)[0]
    for names in (["stdout"], ["stderr"], ["stdout", "stderr"]):
        if place == "/dev/full":
            fd = os.open(place, os.O_WRONLY)
        else:
            reading, fd = os.pipe()
            os.close(reading)
        try:
            status, _, err = ended(words, tmp_path, **dict.fromkeys(names, fd))
        finally:
            os.close(fd)
        assert status == (normal or int("stdout" in names)), names
        assert len(err.splitlines()) <= 1, err
        assert "Traceback" not in err


def test_more_than_a_buffer_full_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        status, _, err = ended(["schema"], tmp_path, stdout=full)
    assert (status, err) == (1, "rctl: standard output: No space left on device\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_that_come_while_all_is_put_back_change_nothing(shell: Shell, number: signal.Signals) -> None:
    before, came = shell.kernel.limits(), 0

    def again(operation: Any) -> None:
        nonlocal came
        if (operation.file == "pids.max" or came) and came < 2:
            came += 1
            cli._interrupt(number, None)

    shell.kernel.watch = again
    assert shell.run("set", "web1", "pids.max=5", "cpu.weight=50") == (128 + number, "", STOPPED)
    assert came == 2
    assert shell.kernel.limits() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_while_the_end_is_told_changes_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    warn = cli._warn

    def interrupted(text: str) -> None:
        cli._interrupt(number, None)
        warn(text)

    monkeypatch.setattr(cli, "_warn", interrupted)
    shell.kernel.watch = lambda operation: cli._interrupt(number, None) if operation.file == "pids.max" else None
    assert shell.run("set", "web1", "pids.max=5") == (128 + number, "", STOPPED)
    cli._interrupt(number, None)  # after the end, too


@pytest.mark.parametrize("reader", ["rctl.cli.app.plain_call", "typer.core.TyperGroup.parse_args"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_words_are_read_ends_with_its_own_status(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, reader: str
) -> None:
    monkeypatch.setattr(reader, lambda *_: cli._interrupt(number, None))
    assert shell.run("ls", "--help") == (128 + number, "", "rctl: interrupted\n")


@pytest.mark.parametrize(
    "words",
    [
        ["set", "web1", "pids.max=5"],
        ["label", "web1", "env=prod"],
        ["rename", "web2", "web3"],
        ["undo"],
        ["kill", "web2"],
        ["rm", "web2"],
        ["apply", "site.toml"],
        ["freeze", "web2"],
        ["recover"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_what_is_done_counts_although_nobody_can_read_of_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: list[str], json: list[str]
) -> None:
    (shell.folder / "site.toml").write_text("version = 1\n[ve.web1.limits]\npids.max = 7\n")
    assert shell.run("set", "web1", "pids.max=9")[0] == 0
    full = os.open("/dev/full", os.O_WRONLY)  # done() puts another file under this number
    with open(full, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        status, _, err = shell.run(*words, *json)
    assert status == 0
    assert err == "rctl: standard output: No space left on device; what was asked for is done all the same\n"
