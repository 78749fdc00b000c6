"""The claims of 2006, made from what was measured."""

from __future__ import annotations

from typing import Any

from rctl.bench.claims import claims
from rctl.bench.figures.result import Figure, Result
from rctl.bench.parts import felt, lifecycle


def of(bench: str, *figures: Figure) -> Result:
    return Result(bench, "", 0.0, 1.0, "wall", {}, figures)


def claim(word: str, *results: Result) -> Figure:
    (found,) = [figure for figure in claims(results) if word in figure.name]
    return found


def application(name: str, percent: float, low: float, high: float, **more: Any) -> Figure:
    return Figure(
        name, percent, "percent", "pairs", low, high, 2.0, more.pop("verdict", "pass"), "applications", **more
    )


def test_nothing_measured_is_said_of_every_claim() -> None:
    found = claims([])
    assert len(found) == 8
    assert {(figure.value, figure.verdict) for figure in found} == {(None, "not measured")}
    assert all(figure.origin for figure in found)


def test_a_claim_carries_the_figure_and_where_it_came_from() -> None:
    many = Figure(
        "VEs with a sleeping process in 1 GB", 4000.0, "count", "200 VEs", budget=100, verdict="pass", better="high"
    )
    found = claim("100 VEs", of("density", many))
    assert (found.value, found.verdict, found.better) == (4000.0, "pass", "high")
    assert found.origin == "rctl bench density: VEs with a sleeping process in 1 GB, on a real clock; 200 VEs"


def test_the_application_that_pays_most_is_named_beside_the_average() -> None:
    run = of(
        "overhead",
        application("sqlite", 0.5, 0.4, 0.6),
        application("redis", 3.0, 2.9, 3.1, verdict="fail", note="context switches"),
        Figure("applications, geometric mean", 0.9, "percent", "of 2", 0.8, 1.0, 2.0, "pass", "geometric means"),
    )
    assert claim("on average", run).verdict == "pass"
    worst = claim("pays most", run)
    assert (worst.value, worst.verdict) == (3.0, "fail")
    assert worst.note == "it is redis: context switches"


def test_the_dearest_of_some_applications_proves_nothing_about_those_that_were_not_measured() -> None:
    missing = Figure("redis", None, "percent", "not installed", verdict="not measured", group="applications")
    worst = claim("pays most", of("overhead", application("sqlite", 0.5, 0.4, 0.6), missing))
    assert (worst.value, worst.verdict, worst.note) == (0.5, "cannot tell", "it is sqlite; not measured: redis")


def test_an_average_whose_interval_holds_the_budget_proves_nothing() -> None:
    mean = Figure("applications, geometric mean", 1.5, "percent", "", 0.5, 2.5, 1.0, "fail", "geometric means")
    assert claim("on average", of("overhead", mean)).verdict == "cannot tell"


def test_starting_a_ve_speaks_for_two_claims_with_their_own_budgets() -> None:
    start = Figure(lifecycle.START, 3.0, "seconds", "median of 9", 2.9, 3.1, 2.0, "fail")
    run = of("life", start)
    assert (claim("start in", run).verdict, claim("start in", run).budget) == ("fail", 2.0)
    assert (claim("created", run).verdict, claim("created", run).budget) == ("pass", 60.0)


def felt_by(name: str, seconds: float | None) -> Figure:
    verdict = "not measured" if seconds is None else ""
    return Figure(name, seconds, "seconds", "rounds", verdict=verdict, group=felt.GROUP)  # type: ignore[arg-type]


def test_every_limit_is_live_when_each_was_felt() -> None:
    run = of("adjust", felt_by("pids.max by rctl", 0.001), felt_by("cpu.max by rctl", 0.01), felt_by("x by hand", 9.0))
    found = claim("on the fly", run)
    assert (found.value, found.verdict) == (0.01, "pass")
    assert found.note.startswith("the slowest of pids.max, cpu.max; not tried: weights")


def test_a_limit_that_was_not_felt_leaves_the_claim_open() -> None:
    found = claim("on the fly", of("adjust", felt_by("pids.max by rctl", 0.001), felt_by("cpuset.cpus", None)))
    assert found.verdict == "cannot tell"
    assert "not felt here: cpuset.cpus" in found.note


def test_a_part_that_could_not_run_gives_its_reason() -> None:
    failed = Figure(lifecycle.START, None, "seconds", "no cgroup2 on this host", verdict="not measured")
    assert claim("start in", of("life", failed)).origin == "no cgroup2 on this host"


def lived(seconds: float, clock: str, **machine: str) -> Result:
    return Result("life", "", 0.0, 1.0, clock, machine, (Figure(lifecycle.STOP, seconds, "seconds", "", budget=2.0),))


def test_times_are_taken_from_a_real_clock_and_shares_from_the_instruction_clock() -> None:
    share = [
        Result("overhead", "", 0.0, 1.0, clock, {}, (Figure("applications, geometric mean", v, "percent", ""),))
        for clock, v in (("instructions", 0.9), ("wall", 1.1))
    ]
    runs = [lived(0.9, "instructions"), lived(3.0, "wall"), *share]
    for order in (runs, runs[::-1]):
        assert claim("stop in", *order).value == 3.0
        assert claim("on average", *order).value == 0.9
        assert "on the instruction clock" in claim("on average", *order).origin


def test_a_real_clock_of_an_emulated_machine_counts_only_where_there_is_nothing_else() -> None:
    emulated = lived(9.0, "wall", emulated="yes")
    assert claim("stop in", lived(0.9, "instructions"), emulated).value == 0.9
    assert claim("stop in", emulated).value == 9.0


def test_the_slowest_limit_is_looked_for_on_one_clock_and_the_others_are_told() -> None:
    one_cpu = (felt_by("pids.max by rctl", 0.001), felt_by("cpu.max by rctl", 0.002), felt_by("cpuset.cpus", None))
    counted = Result("adjust", "", 0.0, 1.0, "instructions", {}, one_cpu)
    more = Result("adjust", "", 0.0, 1.0, "wall", {"emulated": "yes"}, (felt_by("cpuset.cpus by rctl", 0.2),))
    found = claim("on the fly", counted, more)
    assert (found.value, found.verdict) == (0.002, "pass")
    assert "on a real clock: cpuset.cpus 200 ms" in found.note
    assert "not felt here" not in found.note


def test_templates_are_said_to_be_missing() -> None:
    assert claim("template", of("density")).origin.startswith("rctl does not do this yet")


def test_of_several_runs_the_last_counts() -> None:
    runs = [of("life", Figure(lifecycle.STOP, t, "seconds", "", budget=2.0, verdict="pass")) for t in (1.0, 0.5)]
    assert claim("stop in", *runs).value == 0.5
