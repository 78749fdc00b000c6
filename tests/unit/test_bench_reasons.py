"""What a workload over its budget pays for, from the figures of ``explain``."""

from __future__ import annotations

import msgspec

from rctl.bench.figures.result import Figure, Result, Verdict
from rctl.bench.parts import explain
from rctl.bench.parts.reasons import CHOICES, PARTS, ask, explained, saved

COSTS = {
    "no controllers, lean": 0.0, "no controllers": 9.0, "cpu alone": 21.0, "io alone": 9.5, "memory alone": 9.5,
    "pids alone": 9.0, "rctl: limits, their controllers": 22.0, "the same without limits": 22.0,
}  # fmt: skip


def apart(work: str = "pipe ping-pong", clock: str = "instructions") -> Result:
    figures = (Figure(f"{work}: {state}", cost, "percent", "", group=work) for state, cost in COSTS.items())
    return Result("explain", "", 1.0, 1.0, clock, {}, tuple(figures))


def whole(verdict: Verdict = "fail", clock: str = "instructions") -> Result:
    figure = Figure("pipe ping-pong", 22.0, "percent", "", budget=2.0, verdict=verdict, note=ask("pipe ping-pong"))
    return Result("overhead", "", 1.0, 1.0, clock, {}, (figure,))


def note(*results: Result) -> str:
    (found,) = [one for one in explained(results) if one.bench == "overhead"]
    return found.figures[0].note


def test_the_dearest_part_comes_first_and_what_costs_next_to_nothing_is_left_out() -> None:
    said = "pays for the cpu controller +12.0, pressure accounting +9.0 points, each by itself"
    assert note(whole(), apart()) == said


def test_without_explain_the_note_says_how_to_find_out() -> None:
    asked = "over the budget; what it pays for: rctl bench explain --only 'pipe ping-pong'"
    assert note(whole()) == asked
    assert note(whole(), apart("another")) == asked


def test_figures_of_another_clock_or_machine_explain_nothing() -> None:
    assert note(whole(), apart(clock="wall")) == note(whole())
    assert note(whole(), msgspec.structs.replace(apart(), machine={"kernel": "another"})) == note(whole())


def test_on_a_real_clock_figures_without_an_interval_explain_nothing() -> None:
    assert note(whole(clock="wall"), apart(clock="wall")) == note(whole(clock="wall"))


def test_memory_is_not_counted_as_io_although_the_kernel_enables_it_with_it() -> None:
    costs = {"no controllers": 0.0, "memory alone": 10.0, "io alone": 10.0}
    figures = tuple(Figure(f"pipe ping-pong: {s}", c, "percent", "", group="pipe ping-pong") for s, c in costs.items())
    told = note(whole(), msgspec.structs.replace(apart(), figures=figures))
    assert told == "pays for the memory controller +10.0 points, each by itself"


def test_what_is_within_its_budget_is_left_as_it_is() -> None:
    before = whole("pass")
    assert explained([before, apart()])[0] == before


def test_a_part_that_could_not_be_measured_is_not_made_up() -> None:
    some = msgspec.structs.replace(apart(), figures=apart().figures[1:3])
    assert note(whole(), some) == "pays for the cpu controller +12.0 points, each by itself"
    assert note(whole(), msgspec.structs.replace(apart(), figures=())) == note(whole())


def test_what_may_cost_nothing_is_not_named() -> None:
    """Given a real clock, on which nobody can tell whether pressure accounting costs anything."""
    unsure = [
        msgspec.structs.replace(f, low=f.value - 6, high=f.value + 5) for f in apart().figures if f.value is not None
    ]
    found = note(whole(), msgspec.structs.replace(apart(), figures=tuple(unsure)))
    assert found == "pays for the cpu controller +12.0 points, each by itself"


def test_every_part_is_made_of_states_that_are_measured() -> None:
    names = {"", *(state.name for state in explain.STATES)}
    assert {name for _, *both in (*PARTS, *CHOICES) for name in both} <= names


def pair(work: str, full: float, lean: float, unsure: float = 0.0) -> list[Figure]:
    """A workload in a VE and in a lean one."""
    states = {"rctl: limits, their controllers": full, "the same, lean": lean}
    return [
        Figure(f"{work}: {state}", cost, "percent", "", cost - unsure, cost + unsure, group=work)
        for state, cost in states.items()
    ]


def test_what_a_choice_saves_is_the_mean_over_the_workloads() -> None:
    (found,) = saved([*pair("pipe", 21.0, 10.0), *pair("gzip", 10.0, 10.0 - 1e-6)], exact=True)
    assert found.name.startswith("--lean")
    assert found.value == 4.881
    assert found.note == "most: pipe, 10.0 %"


def test_a_choice_that_may_save_nothing_says_so() -> None:
    (found,) = saved(pair("pipe", 21.0, 10.0, unsure=8.0), exact=False)
    assert found.low is not None
    assert found.low < 0
    assert found.note == "the figures cannot tell whether it does"


def test_a_choice_that_costs_says_so() -> None:
    (found,) = saved(pair("pipe", 10.0, 21.0), exact=True)
    assert found.note == "it does not"


def test_nothing_is_saved_where_nothing_was_measured() -> None:
    assert saved([], exact=True) == []
