"""The causes of costs, from the figures of ``rctl bench explain``.

For a workload over its budget: the parts of its cost. Each part is measured alone, so the parts need not add up to the
whole. And the savings by the engine's choices, on average over the workloads.
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from ..figures.result import MUST_AGREE, REPEATS, Figure, Result

BARE = ""
"""The name of the state with which all others are compared."""
PARTS: tuple[tuple[str, str, str], ...] = (
    ("a cgroup of its own", "no controllers, lean", BARE),
    ("pressure accounting", "no controllers", "no controllers, lean"),
    *((f"the {name} controller", f"{name} alone", "no controllers") for name in ("cpu", "memory", "pids")),
    ("the io controller", "io alone", "memory alone"),  # because the kernel enables memory with it
    ("the limits", "rctl: limits, their controllers", "the same without limits"),
)
"""The parts of a VE: a part's name, a state of ``explain`` with it, and one that lacks only that part."""
CHOICES: tuple[tuple[str, str, str], ...] = (
    ("only the controllers that a limit needs: memory in place of all", "all controllers", "memory alone"),
    ("directly below the root in place of two levels further down", "all, depth 3", "all controllers"),
    ("--lean: without pressure accounting", "rctl: limits, their controllers", "the same, lean"),
)
"""The engine's choices: the name, a state of ``explain`` without the choice, and one with it."""
SAVED = "what the engine's choices save"
_LEAST, _SHARE = 0.001, 0.05
"""A part is named if it costs this share of the bare time, and this share of the cost of all parts."""


def ask(work: str) -> str:
    """The note of a workload whose cost has not been explained yet."""
    return f"over the budget; what it pays for: rctl bench explain --only {shlex.quote(work)}"


def explained(results: Sequence[Result]) -> list[Result]:
    """The results; workloads over their budget say what they pay for, if ``explain`` measured them."""
    costs = {_where(one): _costs(one.figures, _exact(one)) for one in results if one.bench == "explain"}
    return [
        msgspec.structs.replace(one, figures=tuple(_noted(f, costs.get(_where(one), {})) for f in one.figures))
        if one.bench == "overhead"
        else one
        for one in results
    ]


def _where(result: Result) -> tuple[str, ...]:
    """The clock and the machine: figures from elsewhere explain nothing."""
    return result.clock, *(result.machine.get(fact, "") for fact in MUST_AGREE)


def _exact(result: Result) -> bool:
    return result.clock == "instructions"


def saved(figures: Sequence[Figure], exact: bool) -> list[Figure]:
    """The savings by each choice, in per cent, from the figures of ``explain``; none for a state that was not measured.

    The geometric mean over the workloads; its interval is the widest that theirs allow. ``exact``: on the instruction
    clock, a figure without an interval gets the assumed spread.
    """
    costs = _costs(figures, exact)
    found = []
    for name, without, with_it in CHOICES:
        ratios = {
            work: states[without].over(states[with_it])
            for work, states in costs.items()
            if {without, with_it} <= {*states}
        }
        if not ratios:
            continue
        value, low, high = (
            round(100 * (statistics.geometric_mean(ends) - 1), 3) for ends in zip(*ratios.values(), strict=True)
        )
        best = max(ratios, key=lambda work: ratios[work].value)
        note = f"most: {best}, {100 * (ratios[best].value - 1):.1f} %"
        if low <= 0:
            note = "the figures cannot tell whether it does" if high >= 0 else "it does not"
        origin = f"{without}, over {with_it}; geometric mean of {', '.join(ratios)}"
        found.append(Figure(name, value, "percent", origin, low, high, group=SAVED, note=note, better="high"))
    return found


class CostRatio(NamedTuple):
    """A time as a multiple of the bare time, with the ends of its interval."""

    value: float
    low: float
    high: float

    def over(self, other: CostRatio) -> CostRatio:
        """The ratio to another one, with the widest interval that the two allow."""
        return CostRatio(self.value / other.value, self.low / other.high, self.high / other.low)


States = Mapping[str, CostRatio]


def _costs(figures: Sequence[Figure], exact: bool) -> dict[str, dict[str, CostRatio]]:
    """The measured ratios by workload and state, without those that have no interval, unless ``exact``."""
    found: dict[str, dict[str, CostRatio]] = {}
    for one in figures:
        if one.value is not None and (exact or one.low is not None):
            value = 1 + one.value / 100
            low = value * (1 - REPEATS) if one.low is None else 1 + one.low / 100
            high = value * (1 + REPEATS) if one.high is None else 1 + one.high / 100
            found.setdefault(one.group, {BARE: CostRatio(1, 1, 1)})[one.name.removeprefix(f"{one.group}: ")] = (
                CostRatio(value, low, high)
            )
    return found


def _noted(figure: Figure, costs: Mapping[str, States]) -> Figure:
    if figure.verdict != "fail" or not (said := _said(costs.get(figure.name, {}))):
        return figure
    return msgspec.structs.replace(figure, note=said)


def _said(states: States) -> str:
    """The parts with a certain cost, highest first, in points of the bare time; empty if none is known."""
    parts = {
        name: (states[with_it].value - states[without].value, states[with_it].low - states[without].high)
        for name, with_it, without in PARTS
        if {with_it, without} <= {*states}
    }
    least = max(_LEAST, _SHARE * sum(cost for cost, low in parts.values() if low > 0))
    dear = sorted(((cost, name) for name, (cost, low) in parts.items() if cost >= least and low > 0), reverse=True)
    if not dear:
        return ""
    return "pays for " + ", ".join(f"{name} {100 * cost:+.1f}" for cost, name in dear) + " points, each by itself"
