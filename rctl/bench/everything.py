"""All benchmarks in one run, one after the other, with the claims made from them at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ..adjust.state import State
from ..cgroupfs.tree import Tree
from ..errors import RctlError, UsageError
from ..host import Host
from . import (
    adjust,
    claims,
    density,
    explain,
    exporter,
    felt,
    lifecycle,
    machine,
    overhead,
    reasons,
    virtual,
    workloads,
)
from .place import WorkError
from .result import Figure, Result, common
from .text import left

Tell = Callable[[str], None]


class Setting(NamedTuple):
    """What the parts need.

    ``folder``: on the disk to measure. ``quick``: a look, with wide intervals. ``command``: as typed. ``over``: the
    workloads that were over the budget so far.
    """

    tree: Tree
    host: Host
    state: State
    folder: str
    quick: bool
    command: str
    over: tuple[str, ...] = ()


class Part(NamedTuple):
    """One benchmark. ``seconds``: about how long it takes, which only the time left is guessed from."""

    name: str
    seconds: float
    run: Callable[[Setting, Tell], Result]


class Partial(Exception):  # noqa: N818 (it is no error)
    """A part was interrupted, and has something to show: ``result``. ``stop``: what interrupted it."""

    def __init__(self, result: Result, stop: KeyboardInterrupt) -> None:
        super().__init__(str(stop))
        self.result, self.stop = result, stop


class Run(NamedTuple):
    """``results``: what there is. ``stop``: what interrupted it, or ``None``."""

    results: list[Result]
    stop: KeyboardInterrupt | None


def chosen(only: Sequence[str], *, quick: bool) -> tuple[Part, ...]:
    """The benchmarks of these names; of none, all. Raises UsageError for a name that is none of them."""
    every = _parts(quick)
    known = [part.name for part in every]
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name!r}: there is no such benchmark. Give one of {', '.join(known)}")
    return tuple(part for part in every if not only or part.name in only)


def run(setting: Setting, chosen: Sequence[Part], tell: Tell, begin: Callable[[str], None]) -> Run:
    """Run the parts. ``tell`` hears what is being done, ``begin`` a line for each part.

    A part that cannot be run is in the results, with the reason. An interruption ends the run with what there is.
    """
    results: list[Result] = []
    stop: KeyboardInterrupt | None = None
    bar = Bar(chosen)
    for part in chosen:
        begin(f"{part.name}: part {bar.number + 1} of {len(chosen)}, about {left(bar.left())} left in all")
        began = machine.begin()
        try:
            place = setting._replace(over=_over(results))
            results.append(part.run(place, lambda text, name=part.name: tell(bar.line(f"{name}: {text}"))))  # type: ignore[misc]
        except Partial as some:
            results.append(some.result)
            stop = some.stop
            break
        except KeyboardInterrupt as interrupted:
            stop = interrupted
            break
        except (RctlError, WorkError, OSError) as error:
            results.append(_failed(part.name, setting, began, str(error)))
        bar.next()
    return Run(with_claims(results, setting.command), stop)


class Bar:
    """How far a run of several parts is, and how long the rest takes, going by what the parts so far took."""

    def __init__(self, chosen: Sequence[Part], clock: Callable[[], float] = time.monotonic) -> None:
        self._chosen, self._clock = chosen, clock
        self.number = 0
        self._begin = self._here = clock()

    def next(self) -> None:
        """The part that was under way is done."""
        self.number += 1
        self._here = self._clock()

    def left(self) -> float:
        """Seconds until the end, as far as one can tell."""
        done = sum(part.seconds for part in self._chosen[: self.number])
        slow = (self._here - self._begin) / done if done else 1.0
        spent = self._clock() - self._here
        rest = [part.seconds * slow for part in self._chosen[self.number :]]
        return max(rest[0] - spent, rest[0] / 20) + sum(rest[1:]) if rest else 0.0

    def line(self, text: str) -> str:
        """The bar, the share that is done, the time left, and what is being done."""
        gone, rest = self._clock() - self._begin, self.left()
        share = gone / (gone + rest) if gone + rest else 1.0
        filled = int(20 * share)
        return f"[{'#' * filled}{'-' * (20 - filled)}] {100 * share:3.0f} %, {left(rest)} left, {text}"


def with_claims(results: Sequence[Result], command: str = "") -> list[Result]:
    """The results, what is over its budget with what it pays for, and the claims made from them, anew.

    Of several runs of one benchmark on one kind of clock the last counts.
    """
    last = {(result.bench, result.clock): result for result in results if result.bench != "claims"}
    if not last:
        return []
    measured = reasons.explained(list(last.values()))
    when, clocks = max(one.time for one in measured), dict.fromkeys(one.clock for one in measured)
    clock = clocks.popitem()[0] if len(clocks) == 1 else ""
    made = Result("claims", command, when, 0.0, clock, common(measured), claims.claims(measured))
    return [*measured, made]


def superseded(results: Sequence[Result]) -> list[str]:
    """The benchmarks of which several runs are there on one kind of clock."""
    often = Counter((result.bench, result.clock) for result in results if result.bench != "claims")
    return [f"{bench} ({clock} clock)" for (bench, clock), count in often.items() if count > 1]


def _over(results: Sequence[Result]) -> tuple[str, ...]:
    figures = (figure for result in results if result.bench == "overhead" for figure in result.figures)
    return tuple(figure.name for figure in figures if figure.verdict == "fail")


def _failed(name: str, setting: Setting, began: machine.Begin, why: str) -> Result:
    figure = Figure(name, None, "count", why, verdict="not measured")
    return machine.stamp(name, setting.command, began, [figure])


def _overhead(setting: Setting, tell: Tell, *, seconds: float = 180.0, rounds: int = 2) -> Result:
    options = _options(setting, seconds, rounds)
    ran = overhead.measure(setting.tree, setting.host, options, workloads.ALL, tell)
    return _whole(ran, ran.result("overhead", overhead.series(ran.figures)))


def _explain(setting: Setting, tell: Tell, *, each: float = 3.0, rounds: int = 2) -> Result:
    """What is measured unless others are asked for, and whatever was over the budget.

    ``each``: seconds on a real clock for a workload in a state; they suffice for an interval.
    """
    works = tuple(work for work in workloads.ALL if work.name in {*explain.WORKS, *setting.over})
    options = _options(setting, each * len(works) * len(explain.STATES), rounds)
    ran, series = explain.measure(setting.tree, setting.host, options, works, tell)
    return _whole(ran, ran.result("explain", series))


def _options(setting: Setting, seconds: float, rounds: int) -> overhead.Options:
    return overhead.Options(seconds=seconds, rounds=rounds, folder=setting.folder, command=setting.command)


def _whole(ran: overhead.Run, result: Result) -> Result:
    if ran.stop:
        raise Partial(result, ran.stop)
    return result


def adjusted(setting: Setting, tell: Tell, *, rounds: int = 15, ves: int = 1000, moments: int = 15) -> Result:
    """The engine's cost and other tools (0 ``rounds``: not), and when a change is felt (0 ``moments``: not)."""
    tree, host, state = setting.tree, setting.host, setting.state
    began = machine.begin()
    figures: list[Figure] = []
    if rounds:
        figures += adjust.measure(tree, host, state, rounds=rounds, ves=ves, tell=tell)
    if moments:
        figures += felt.measure(tree, host, state, setting.folder, rounds=moments, tell=tell)
    return machine.stamp("adjust", setting.command, began, figures)


def lived(setting: Setting, tell: Tell, *, rounds: int = 15) -> Result:
    """How long a VE takes to make, enter and remove."""
    began = machine.begin()
    found = lifecycle.measure(setting.tree, setting.host, setting.state, rounds=rounds, tell=tell)
    return machine.stamp("life", setting.command, began, found)


def dense(setting: Setting, tell: Tell, *, ves: int = 200) -> Result:
    """How many VEs fit into 1 GB."""
    began = machine.begin()
    figures, series = density.measure(setting.tree, setting.host, setting.state, ves=ves, tell=tell)
    return machine.stamp("density", setting.command, began, figures, series)


def exported(
    setting: Setting,
    tell: Tell,
    *,
    counts: Sequence[int] = exporter.COUNTS,
    profile: str = "full",
    rounds: int = 8,
    below: bool = True,
) -> Result:
    """What a scrape costs, by number of VEs."""
    began = machine.begin()
    figures, series = exporter.measure(
        setting.tree, counts=counts, profile=profile, rounds=rounds, below=below, tell=tell
    )
    return machine.stamp("exporter", setting.command, began, figures, series)


def virtually(setting: Setting, tell: Tell, *, rounds: int = 10) -> Result:
    """The same work in a VE and in a virtual machine."""
    began = machine.begin()
    found = virtual.measure(setting.tree, setting.host, setting.folder, rounds=rounds, tell=tell)
    return machine.stamp("virtual", setting.command, began, found)


def _parts(quick: bool) -> tuple[Part, ...]:
    """All benchmarks, those first that say most."""
    if quick:
        return (
            Part("overhead", 45.0, partial(_overhead, seconds=45.0, rounds=1)),
            Part("explain", 60.0, partial(_explain, each=0.4, rounds=1)),
            Part("adjust", 30.0, partial(adjusted, rounds=3, moments=6)),
            Part("exporter", 40.0, partial(exported, counts=(1, 100), rounds=4)),
            Part("life", 20.0, partial(lived, rounds=6)),
            Part("density", 10.0, partial(dense, ves=64)),
            Part("virtual", 10.0, partial(virtually, rounds=6)),
        )
    return (
        Part("overhead", 180.0, _overhead),
        Part("explain", 500.0, _explain),
        Part("adjust", 120.0, adjusted),
        Part("exporter", 200.0, partial(exported, counts=(1, 100, 1000))),
        Part("life", 50.0, lived),
        Part("density", 25.0, dense),
        Part("virtual", 20.0, virtually),
    )
