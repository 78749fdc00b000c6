"""The demo's closing table fits the terminal; in a pipe it is whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from demo_print import HEAD, Printer, Row

ROWS = [
    Row("CPU time", "CPUs", 0.25, 1.02, 0.251, 0.1),
    Row("memory: same process at work", "MiB", 120, 200, 119.5, at_most=True),
    Row("disk writes", "MB/s", 5, 117, 5.02, 0.1),
]


def test_a_comment_that_does_not_fit_stands_below_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    out = Printer(color=False)
    out.command('>>> rctl.open("demo-mem").memory.max = "120M"', "or: rctl set demo-mem memory.max=120M")
    out.command("rctl undo", "all of it")
    assert capsys.readouterr().out.splitlines() == [
        '  >>> rctl.open("demo-mem").memory.max = "120M"',
        "    # or: rctl set demo-mem memory.max=120M",
        "  rctl undo    # all of it",
    ]


@pytest.mark.parametrize("width", [0, 80, 70])
def test_the_demo_table_fits_the_terminal(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    Printer(color=False, width=width).table(ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= (width or 200)
    assert all(line.endswith("ok") for line in lines[1:])
    if not width:
        assert lines[0].split() == [word for word in HEAD if word]
