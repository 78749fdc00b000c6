"""Two runs beside each other, and results as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl.bench.figures.compare import Comparison, compare
from rctl.bench.figures.result import Figure, Result, load, verdict_of
from rctl.errors import UsageError

MACHINE = {"kernel": "6.1.0", "CPU": "one", "load": "0.1"}


def result(*figures: Figure, clock: str = "wall", machine: dict[str, str] = MACHINE, **more: Any) -> Result:
    return Result("overhead", "rctl bench overhead", 1e9, 10.0, clock, machine, figures, **more)


def figure(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> Figure:
    return Figure("fork", value, more.pop("unit", "seconds"), "measured", low, high, **more)


def change(first: Figure, second: Figure, **more: Any) -> str:
    (line,) = compare([result(first, **more)], [result(second, **more)]).lines
    return line.change


def test_intervals_that_do_not_touch_are_better_or_worse() -> None:
    slow, fast = figure(2.0, 1.9, 2.1), figure(1.0, 0.9, 1.1)
    assert change(fast, slow) == "worse"
    assert change(slow, fast) == "better"


def test_what_should_be_high_is_worse_when_it_falls() -> None:
    many, few = (figure(n, n * 0.99, n * 1.01, unit="count", better="high") for n in (1000.0, 500.0))
    assert change(many, few) == "worse"
    assert change(few, many) == "better"


def test_narrow_intervals_around_the_same_value_are_the_same() -> None:
    assert change(figure(1.0, 0.999, 1.001), figure(1.001, 1.0, 1.002)) == "same"


def test_intervals_that_overlap_leave_nobody_the_wiser() -> None:
    assert change(figure(1.0, 0.8, 1.2), figure(1.1, 0.9, 1.3)) == "cannot tell"


def test_a_time_without_an_interval_says_nothing_on_a_real_clock() -> None:
    assert change(figure(1.0), figure(2.0)) == "cannot tell"


def test_a_time_without_an_interval_is_a_number_on_an_instruction_clock() -> None:
    assert change(figure(1.0), figure(1.05), clock="instructions") == "worse"
    assert change(figure(1.0), figure(1.001), clock="instructions") == "same"


def test_percentages_compare_as_the_whole_that_they_add_to() -> None:
    """From 0.1 % to 0.3 % more is not three times worse; from 0.1 % to 5 % is worse."""
    tiny, small, large = (figure(p, p - 0.05, p + 0.05, unit="percent") for p in (0.1, 0.3, 5.0))
    assert change(tiny, small) == "same"
    assert change(tiny, large) == "worse"


def test_a_percentage_below_zero_compares_too() -> None:
    assert change(figure(-0.2, -0.3, -0.1, unit="percent"), figure(0.1, 0.0, 0.2, unit="percent")) == "same"


def test_figures_that_came_and_went_are_named() -> None:
    old, new = Figure("fork", 1.0, "seconds", ""), Figure("exec", 1.0, "seconds", "")
    assert [(one.name, one.change) for one in compare([result(old)], [result(new)]).lines] == [
        ("fork", "gone"),
        ("exec", "new"),
    ]


def test_what_was_not_measured_cannot_be_compared() -> None:
    assert change(figure(None, verdict="not measured"), figure(1.0, 0.9, 1.1)) == "cannot tell"


def test_other_machines_are_said_loudly_and_times_not_judged() -> None:
    there = result(figure(2.0, 1.9, 2.1), machine=MACHINE | {"CPU": "another", "load": "9"})
    found = compare([result(figure(1.0, 0.9, 1.1))], [there])
    assert found.warnings == ("DIFFERENT MACHINES: CPU: one then, another now",)
    assert found.lines[0].change == "cannot tell"


def test_ratios_are_judged_across_machines() -> None:
    there = result(figure(2.0, 1.9, 2.1, unit="ratio"), machine={"kernel": "7.0"})
    found = compare([result(figure(1.0, 0.9, 1.1, unit="ratio"))], [there])
    assert found.worse
    assert [text.split(": ")[1] for text in found.warnings] == ["kernel", "CPU"]


def test_other_clocks_are_said_loudly() -> None:
    found = compare([result(clock="wall")], [result(clock="instructions")])
    assert found.warnings[0].startswith("DIFFERENT CLOCKS (wall and instructions)")


def test_an_interrupted_run_is_said() -> None:
    found = compare([result(interrupted=True)], [result()])
    assert found == Comparison(
        (), ("the first run of overhead was interrupted, and holds only the figures up to then",)
    )


@pytest.mark.parametrize("several", [False, True])
def test_results_come_back_from_their_file(tmp_path: Path, several: bool) -> None:
    kept = result(figure(1.0, 0.9, 1.1))
    file = tmp_path / "a.json"
    file.write_bytes(msgspec.json.encode([kept, kept] if several else kept))
    assert load(file) == ((kept, kept) if several else (kept,))


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"nonsense", b'{"bench": 1}', b"\xff\xfe", b"null"])
def test_a_file_without_results_is_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(text)
    with pytest.raises(UsageError, match="holds no results") as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_a_result_carries_a_version_and_one_before_it_is_read_as_such(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    text = msgspec.json.encode(kept := result(figure(1.0, 0.9, 1.1)))
    assert b',"version":1}' in text
    file.write_bytes(text.replace(b',"version":1}', b"}"))
    assert load(file) == (kept,)
    for newer in (b'{"version":2,"figures":{}}', b'[{"version":1},{"version":2}]'):
        file.write_bytes(newer)
        with pytest.raises(UsageError, match=r"is of a newer rctl \(version 2, this rctl knows 1\). Use that rctl"):
            load(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(tmp_path / "a.json")


def test_the_worst_verdict_speaks_for_all() -> None:
    verdicts = [figure(1.0, verdict=one) for one in ("pass", "", "not measured", "cannot tell", "fail")]
    assert [verdict_of([result(*verdicts[:count])]) for count in (0, 1, 4, 5)] == ["", "pass", "cannot tell", "fail"]


def test_a_fifo_holds_no_results_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(UsageError, match=r"x\.json: is a FIFO\. Give a regular file"):
        load(tmp_path / "x.json")
