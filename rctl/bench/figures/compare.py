"""Compares two runs: better, worse, or cannot tell.

The change of a figure is second over first; for a percentage of extra cost, that of the whole (2 % is 1.02). Its
interval is the widest that the two figures' own intervals allow (low over high to high over low). So "better" and
"worse" are only said if the intervals do not touch. A figure of the instruction clock without an interval gets an
assumed spread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from .result import MUST_AGREE, REPEATS, Figure, FigureUnit, Result, facts_of

Trend = Literal["better", "worse", "same", "cannot tell", "gone", "new"]
SAME = 0.01
"""A smaller change than this share, with its interval, counts as none."""


class ComparedFigure(msgspec.Struct, frozen=True):
    """One figure in both runs. ``ratio``: second over first, with its interval; ``None`` if it cannot be taken."""

    bench: str
    group: str
    name: str
    unit: FigureUnit
    first: float | None
    second: float | None
    change: Trend
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


class Comparison(msgspec.Struct, frozen=True):
    """All figures of both runs, and notes that a reader needs first."""

    lines: tuple[ComparedFigure, ...]
    warnings: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """True if a figure became worse."""
        return any(line.change == "worse" for line in self.lines)


FigureKey = tuple[str, str, str]


def compare(first: Sequence[Result], second: Sequence[Result]) -> Comparison:
    """Compare all figures by benchmark, group and name. If a name occurs several times in a run, the last counts."""
    old, new = _by_key(first), _by_key(second)
    machines = _machines(first) == _machines(second)
    lines = []
    for key in dict.fromkeys((*old, *new)):
        (clock, before), (other_clock, now) = old.get(key, ("", None)), new.get(key, ("", None))
        same = clock == other_clock
        exact = same and clock == "instructions"
        lines.append(_line(key, before, now, exact=exact, comparable=same and machines))
    return Comparison(tuple(lines), tuple(_warnings(first, second)))


def _by_key(results: Sequence[Result]) -> dict[FigureKey, tuple[str, Figure]]:
    """Each figure, with its clock."""
    return {(result.bench, one.group, one.name): (result.clock, one) for result in results for one in result.figures}


def _line(
    key: FigureKey, first: Figure | None, second: Figure | None, *, exact: bool, comparable: bool
) -> ComparedFigure:
    some = first or second
    assert some is not None
    values = (first.value if first else None, second.value if second else None)
    if first is None or second is None:
        return ComparedFigure(*key, some.unit, *values, "new" if first is None else "gone")
    old, new = _whole(first, exact), _whole(second, exact)
    if old is None or new is None or first.unit != second.unit:
        return ComparedFigure(*key, some.unit, *values, "cannot tell")
    (low, middle, high), (new_low, new_middle, new_high) = old, new
    found = ComparedFigure(*key, some.unit, *values, "cannot tell", new_middle / middle)
    if low == high or new_low == new_high:
        return found  # their spread is not known
    ends = new_low / high, new_high / low
    judged = comparable or some.unit in ("ratio", "percent")
    change = _change(*ends, second.better) if judged else "cannot tell"
    return msgspec.structs.replace(found, change=change, low=ends[0], high=ends[1])


def _whole(figure: Figure, exact: bool) -> tuple[float, float, float] | None:
    """Low end, value, high end, all above 0; ``None`` if there are no such numbers."""
    if figure.value is None:
        return None
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    found = [low, figure.value, high]
    if figure.unit == "percent":
        found = [1 + percent / 100 for percent in found]
    if found[0] == found[2] and (exact or figure.unit in ("bytes", "count")):
        found = [found[0] * (1 - REPEATS), found[1], found[2] * (1 + REPEATS)]
    return (found[0], found[1], found[2]) if found[0] > 0 else None


def _change(low: float, high: float, better: Literal["low", "high"]) -> Trend:
    if low >= 1 - SAME and high <= 1 + SAME:
        return "same"
    if low > 1:
        return "worse" if better == "low" else "better"
    if high < 1:
        return "better" if better == "low" else "worse"
    return "cannot tell"


def _machines(results: Sequence[Result]) -> dict[str, str]:
    return {name: " and ".join(texts) for name, texts in facts_of(results).items() if name in MUST_AGREE}


def _warnings(first: Sequence[Result], second: Sequence[Result]) -> Iterator[str]:
    clocks = [{result.clock for result in results} - {""} for results in (first, second)]
    if clocks[0] != clocks[1]:
        told = " and ".join(", ".join(sorted(names)) for names in clocks)
        yield f"DIFFERENT CLOCKS ({told}): times cannot be compared, and ratios only with care"
    old, new = _machines(first), _machines(second)
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"DIFFERENT MACHINES: {name}: {old.get(name, 'unknown')} then, {new.get(name, 'unknown')} now"
    for when, results in (("first", first), ("second", second)):
        for result in results:
            if result.interrupted:
                yield f"the {when} run of {result.bench} was interrupted, and holds only the figures up to then"
