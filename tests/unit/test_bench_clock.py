"""Which clock counts instructions: told by trying, and never taken on trust."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest

from rctl.bench.stage import clock
from rctl.errors import UsageError


@pytest.fixture
def constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that always takes the same time."""
    monkeypatch.setattr(clock, "_loop", lambda: 30_000)
    monkeypatch.setattr(clock, "source", lambda: "tsc")


@pytest.fixture
def different(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that takes another time each time."""
    times = count(30_000, 7)
    monkeypatch.setattr(clock, "_loop", lambda: next(times))
    monkeypatch.setattr(clock, "source", lambda: "tsc")


@pytest.mark.usefixtures("constant")
def test_a_coarse_clock_is_no_instruction_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a clock that moves in large steps, when it is tried, then equal times do not make it one."""
    assert clock.clock() == "instructions"
    monkeypatch.setattr(clock, "source", lambda: "acpi_pm")
    assert clock.clock() == "wall"


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({200_000: 40, 230_000: 20}, True),
        ({200_000: 25, 200_004: 10, 230_000: 25}, True),
        ({200_000 + 10 * n: 1 for n in range(60)}, False),
        ({100: 60}, False),
    ],
    ids=["mostly one time", "nearly one time", "every time another", "too short to tell"],
)
def test_an_instruction_clock_shows_in_times_that_repeat(times: dict[int, int], said: bool) -> None:
    assert clock.steady(Counter(times)) is said


@pytest.mark.usefixtures("constant")
def test_what_is_asked_for_on_an_instruction_clock() -> None:
    assert clock.counted("auto", strict=True)
    assert clock.counted("instructions", strict=True)
    assert not clock.counted("wall", strict=True)
    assert not clock.counted("auto", strict=False)
    with pytest.raises(UsageError, match="only the C program can count; install cc"):
        clock.counted("instructions", strict=False)


@pytest.mark.usefixtures("different")
def test_a_clock_is_not_taken_on_trust() -> None:
    assert not clock.counted("auto", strict=True)
    with pytest.raises(UsageError, match="the same loop does not take the same time"):
        clock.counted("instructions", strict=True)


def test_a_clock_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--clock 'sun': not a clock"):
        clock.counted("sun", strict=True)
