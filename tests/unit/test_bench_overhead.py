"""``rctl bench overhead`` without a kernel: order, rounds, verdicts, interruptions, with workloads of known cost."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest

from rctl.bench.figures import stats
from rctl.bench.figures.result import Figure
from rctl.bench.parts import overhead
from rctl.bench.parts.overhead import OverheadOptions, Run
from rctl.bench.stage.place import Place, WorkError
from rctl.bench.verbs.overhead import _share
from rctl.bench.workloads import ALL, Kit, Workload, chosen
from rctl.bench.workloads.base import PROGRAMS, PYTHON
from rctl.bench.workloads.client_server import Served
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import UsageError

NOWHERE = Cgroup("/", -1)
BARE, INSIDE = Place("bare", NOWHERE, "/nowhere"), Place("inside", NOWHERE, "/nowhere")
KIT = Kit(("work",), True, BARE)


@dataclass(frozen=True)
class Known(Workload):
    """Takes a known time; ``asked`` is what was asked of it."""

    cost: Callable[[str], float] = lambda place: 1e-3
    asked: list[tuple[str, int]] = field(default_factory=list, hash=False, compare=False)

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        self.asked.append((place.name, count))
        return count * self.cost(place.name)


def known(
    cost: Callable[[str], float], *, application: bool = False, coarse: float = 0.0, fixed: bool = False
) -> Known:
    return Known(
        "known", "some", "nothing", 10, application=application, coarse=coarse, fixed=fixed, cost=cost
    )  # fmt: skip


def dearer(percent: float) -> Callable[[str], float]:
    """A milliseconds' work that costs so much more inside."""
    return lambda place: 1e-3 * (1 + percent / 100 * (place == "inside"))


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "settle", lambda: None)


def measured(work: Workload, *, counted: bool, seconds: float = 0.0, rounds: int = 2) -> tuple[Run, Figure]:
    run = Run(OverheadOptions(rounds=rounds), counted=counted)
    return run, overhead.figure(run, work, BARE, INSIDE, KIT, seconds)


def test_the_sides_take_turns_so_that_a_drift_counts_for_neither() -> None:
    work = known(dearer(0))
    measured(work, counted=True, rounds=4)
    assert [place for place, count in work.asked if count == 10] == ["bare", "inside", "inside", "bare"] * 2


def test_on_the_instruction_clock_each_side_warms_up_with_a_few() -> None:
    work = known(dearer(0))
    measured(work, counted=True)
    assert work.asked[:2] == [("bare", 1), ("inside", 1)]


def test_on_the_instruction_clock_a_figure_is_a_number_with_the_spread_seen() -> None:
    inside = cycle([1.01e-3, 1.03e-3])
    _, figure = measured(known(lambda place: next(inside) if place == "inside" else 1e-3), counted=True)
    assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 3.0)
    assert (figure.budget, figure.unit) == (2.0, "percent")


@pytest.mark.parametrize(("percent", "verdict"), [(1.5, "pass"), (2.5, "fail")])
@pytest.mark.parametrize("counted", [True, False])
def test_the_verdict_is_against_the_budget(percent: float, verdict: str, counted: bool) -> None:
    _, figure = measured(known(dearer(percent)), counted=counted, seconds=5)
    assert figure.verdict == verdict


@pytest.mark.parametrize(("percent", "note"), [(1.0, ""), (5.0, "what it pays for: rctl bench explain --only known")])
def test_what_is_over_the_budget_says_how_to_take_it_apart(percent: float, note: str) -> None:
    _, figure = measured(known(dearer(percent)), counted=True)
    assert figure.note.endswith(note)


def test_on_a_real_clock_rounds_end_when_the_interval_is_narrow() -> None:
    work = known(dearer(1))
    run, _ = measured(work, counted=False, seconds=1000)
    assert len(run.pairs[work]) == next(stats.looks())


@pytest.mark.parametrize("noise", [0.002, 0.004])
def test_to_stop_at_a_narrow_interval_leaves_it_true_95_times_of_100(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "_RESAMPLES", 300)
    chance = random.Random(7)
    held, trials = 0, 150
    for _ in range(trials):
        cost = lambda place: 1e-3 * chance.gauss(1 + 0.01 * (place == "inside"), noise)  # noqa: E731
        _, figure = measured(known(cost), counted=False, seconds=1000)
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= 1.0 <= figure.high
    assert 0.94 <= held / trials <= 0.995


def test_on_a_real_clock_a_run_without_time_cannot_tell() -> None:
    run, figure = measured(work := known(dearer(1)), counted=False, seconds=0)
    assert (len(run.pairs[work]), figure.verdict) == (2, "cannot tell")
    assert (figure.low, figure.high) == (None, None), "two pairs have no interval that counts"


def test_on_a_real_clock_one_measurement_takes_long_enough() -> None:
    work = known(dearer(0))
    measured(work, counted=False)
    assert work.asked[-1][1] * 1e-3 == pytest.approx(overhead.LONG)


def test_a_coarse_clock_is_given_longer_so_that_it_rounds_nothing_away() -> None:
    measured(work := known(dearer(0), coarse=1e-3), counted=False)
    assert work.asked[-1][1] * 1e-3 == pytest.approx(1e-3 / overhead.COARSE)


def test_a_workload_of_a_fixed_length_is_not_tried_out_first() -> None:
    measured(work := known(dearer(0), fixed=True), counted=False)
    assert work.asked == [("bare", 10), ("inside", 10), ("inside", 10), ("bare", 10)]


def test_one_pair_has_no_interval() -> None:
    _, figure = measured(known(dearer(1)), counted=True, rounds=1)
    assert (figure.value, figure.low, figure.high, figure.verdict) == (1.0, None, None, "pass")


def test_what_is_counted_is_told_and_only_on_an_instruction_clock() -> None:
    run, side = Run(OverheadOptions(), counted=False), Place("inside", NOWHERE, "/nowhere")
    overhead.counting(run, side)
    assert (run.facts, side.counts) == ({}, False)
    run.counted = True
    overhead.counting(run, side)
    assert side.counts is os.path.exists("/proc/schedstat")
    assert "what is counted" in run.facts


@pytest.mark.parametrize(("counted", "seconds"), [(True, 4.0), (False, 0.5)])
def test_a_client_that_cannot_count_is_counted_as_a_whole(counted: bool, seconds: float, tmp_path: Path) -> None:
    """Given 14 requests in 2 s of instructions, or 56 a second by its own clock, then 28 take 4 s, or half a second."""
    (tmp_path / "cgroup.procs").touch()
    with Cgroup("/here", os.open(tmp_path, os.O_RDONLY)) as cgroup:
        here = Place("bare", cgroup, str(tmp_path))
        if counted:
            here.count()
        served = Served(
            "served", "some", "a request", 28,
            server=lambda port, _: (*PYTHON, str(PROGRAMS / "httpd.py"), str(port)),
            client=lambda port, count, kit: ("echo", "56"),
            rate=lambda text, count: float(text), done=lambda text, count: float(text.split()[0]),
        )  # fmt: skip
        program = (*PYTHON, "-c", "print(14); print(2 * 10**9)")
        assert served.seconds(here, 28, Kit(program, True, here)) == seconds


@pytest.mark.parametrize("counted", [True, False])
def test_a_workload_that_fails_is_not_measured_and_says_why(counted: bool) -> None:
    def fail(_: str) -> float:
        raise WorkError("work: killed by SIGKILL")

    run, figure = measured(known(fail), counted=counted)
    assert (figure.value, figure.verdict, figure.origin) == (None, "not measured", "work: killed by SIGKILL")
    assert not run.pairs


def test_a_workload_whose_program_is_missing_is_not_measured_and_says_so() -> None:
    work = Known("known", "some", "nothing", 10, needs=("no-such-program",))
    _, figure = measured(work, counted=True)
    assert (figure.verdict, figure.origin) == ("not measured", "no-such-program not installed")


def test_the_geometric_means_are_of_the_applications_and_of_all() -> None:
    run = Run(OverheadOptions(), counted=True)
    for name, percent, application in (("a", 1.0, True), ("b", 4.0, False)):
        work = Known(name, "some", "nothing", 10, application=application, cost=dearer(percent))
        overhead.figure(run, work, BARE, INSIDE, KIT, 0)
    means = {figure.name: figure.value for figure in overhead._means(run)}
    assert means["applications, geometric mean"] == 1.0
    assert means["all, geometric mean"] == pytest.approx(100 * ((1.01 * 1.04) ** 0.5 - 1), abs=1e-3)


@pytest.fixture
def two_sides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Places without a kernel below them."""

    @contextmanager
    def sides(site: object, run: Run, tell: object) -> Iterator[tuple[Place, Place, Kit]]:
        run.counted = True
        (tmp_path / "cgroup.procs").touch()
        with Cgroup("/rctl-bench", os.open(tmp_path, os.O_RDONLY)) as cgroup:
            yield BARE, Place("inside", cgroup, "/nowhere"), KIT

    monkeypatch.setattr(overhead, "sides", sides)


@pytest.mark.usefixtures("two_sides")
def test_an_interrupted_run_has_what_there_was_by_then() -> None:
    def stop(_: str) -> float:
        raise KeyboardInterrupt

    works = [known(dearer(1)), Known("stops", "some", "nothing", 1, cost=stop), known(dearer(1))]
    run = overhead.measure(None, OverheadOptions(), works, lambda _: None)  # type: ignore[arg-type]
    assert run.stop is not None
    assert [figure.name for figure in run.figures] == ["known", "all, geometric mean"]
    assert run.result("overhead").interrupted


@pytest.mark.usefixtures("two_sides")
def test_a_whole_run_is_a_result_with_bars_to_draw() -> None:
    result = overhead.overhead(None, OverheadOptions(), lambda _: None, [known(dearer(1), application=True)])  # type: ignore[arg-type]
    assert (result.bench, result.clock, result.interrupted) == ("overhead", "instructions", False)
    assert result.series[0].x[0] == "known"
    assert result.series[0].y[0] == 1.0


@pytest.mark.usefixtures("two_sides")
def test_a_limit_that_was_hit_is_told(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nnr_throttled 3\n")
    (tmp_path / "pids.events").write_text("max 0\n")
    result = overhead.overhead(None, OverheadOptions(), lambda _: None, [known(dearer(1))])  # type: ignore[arg-type]
    assert result.machine["limits that were hit"] == "cpu.stat nr_throttled 3"


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), ("0.02", 0.02), ("0.5%", 0.005)])
def test_a_budget_is_a_share(text: str, share: float) -> None:
    assert _share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "two", "-1%", "0", "nan", "inf", "2 percent", "5000%", "2"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        _share(text)


def test_workloads_are_chosen_by_a_part_of_the_name_a_group_or_a_pattern() -> None:
    names = [work.name for work in chosen(["ping-pong"])]
    assert names == ["pipe ping-pong", "futex ping-pong"]
    assert {work.group for work in chosen(["files"])} >= {"files"}
    assert [work.name for work in chosen(["SQL*"])] == ["sqlite"]
    assert chosen([]) == ALL


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no workload matches"):
        chosen(["sqlite", "no such thing"])


def test_names_are_unique() -> None:
    assert len({work.name for work in ALL}) == len(ALL)
