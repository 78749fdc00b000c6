"""What is wrong is said in words that help: the thing that is missing, the bound that was missed, people's units."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rctl.formats import File
from rctl.limits import file_named
from rctl.units import Count, Duration, Ops, Pids, Quantity, Quota, Rate, Size, Weight
from rctl.ve.command import find
from rctl.words import exactly
from tests.unit.shell import Shell


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Rate, "0", "0 is too low: at least 2, or max. Write"),
        (Ops, "1", "1 is too low: at least 2, or max. Write"),
        (Quota, "999", "999 is too low: at least 1000, or max. Write"),
        (Pids, "4194305", "4194305 is too high: at most 4194304, or max. Write"),
        (Count, str(1 << 64), f"{1 << 64} is too high: at most {(1 << 64) - 1}, or max. Write"),
        (Duration, str(1 << 64), f"{1 << 64} is too high: at most {(1 << 64) - 1}. Write"),
        (Weight, "10001", "10001 is out of range 1..10000. Write"),
    ],
)
def test_out_of_range_says_the_bound_that_was_missed_and_max(kind: type[Quantity], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        kind.parse(text)


@pytest.mark.parametrize(
    ("kind", "text", "amount"),
    [(Size, "1Gi", 1 << 30), (Size, "64ki", 64 << 10), (Size, "1.5Mi", 3 << 19), (Rate, "10Mi/s", 10 << 20)],
)
def test_kubernetes_suffixes_are_binary(kind: type[Quantity], text: str, amount: int) -> None:
    assert kind.parse(text).amount == amount


@pytest.mark.parametrize(
    ("name", "entry", "said"),
    [
        ("memory.max", str(512 << 20), "512M"),
        ("memory.max", str((512 << 20) + 4096), "524292K"),
        ("memory.max", "max", "max"),
        ("cpu.max", "50000 100000", "0.5 CPUs (50000 100000)"),
        ("cpu.max", "max 100000", "max 100000"),
        ("cpu.max.burst", "2000", "2000 us"),
        ("cpuset.cpus", "", "empty"),
        ("pids.max", "300", "300"),
    ],
)
def test_entries_are_told_in_peoples_units_without_rounding(name: str, entry: str, said: str) -> None:
    assert isinstance(file_named(name), File)
    assert exactly(name, entry) == said


def test_undo_refuses_in_peoples_units(shell: Shell) -> None:
    shell.run("set", "web1", "memory.low=512M")
    shell.kernel.put("/rctl-web1", "memory.low", str(1 << 30))
    status, _, err = shell.run("undo")
    assert status == 1
    assert "memory.low: on /rctl-web1 is 1G by now, and was 512M after that adjustment" in err


@pytest.mark.parametrize("words", [["--", "true"], ["--rm", "--", "true"], [], ["--limit", "pids.max=5", "--", "true"]])
def test_run_without_a_name_says_that_the_name_is_missing(shell: Shell, words: list[str]) -> None:
    assert "the VE's name is missing" in shell.refused("run", *words)


def test_run_without_a_command_says_that_the_command_is_missing(shell: Shell) -> None:
    assert "CMD" in shell.refused("run", "web1")


def test_a_program_that_cannot_be_run_is_told_with_its_own_reason(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    for name, reason in (
        ("/nonexistent", "/nonexistent: cannot be run: no such file or directory. Give"),
        (str(tmp_path), "is a directory"),
        (str(text), "may not be executed. .*chmod"),
        ("no-such-program", "no such program in PATH. Give its path"),
        ("", "'': no such program in PATH"),
    ):
        with pytest.raises(Exception, match=reason):
            find([name])


def test_history_does_not_count_the_parent_whose_controllers_were_enabled(shell: Shell) -> None:
    shell.kernel.make("/rctl-new", enable=False)
    shell.run("set", "new", "pids.max=5")
    _, out, _ = shell.run("history")
    assert out.splitlines()[1].split()[3:5] == ["1", "1"]
