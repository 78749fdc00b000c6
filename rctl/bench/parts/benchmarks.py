"""Each benchmark as a Result, made from one Setting; and the list of all benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ...adjust.site import Site
from .. import workloads
from ..figures.result import Figure, Result
from ..stage import machine
from ..stage.place import Tell
from . import adjust, density, explain, exporter, felt, lifecycle, overhead, virtual


class Setting(NamedTuple):
    """The input of the parts.

    ``folder``: on the disk to measure. ``quick``: measure briefly, with wide intervals. ``command``: as typed.
    ``over``: the workloads over the budget so far.
    """

    site: Site
    folder: str
    quick: bool
    command: str
    over: tuple[str, ...] = ()


class Benchmark(NamedTuple):
    """One benchmark. ``seconds``: about its duration; only the estimate of the time left uses it."""

    name: str
    seconds: float
    run: Callable[[Setting, Tell], Result]


class Partial(Exception):  # noqa: N818 (it is no error)
    """A part was interrupted and has a partial ``result``. ``stop``: the exception that interrupted it."""

    def __init__(self, result: Result, stop: KeyboardInterrupt) -> None:
        super().__init__(str(stop))
        self.result, self.stop = result, stop


def _overhead(setting: Setting, tell: Tell, *, seconds: float = 180.0, rounds: int = 2) -> Result:
    options = _options(setting, seconds, rounds)
    ran = overhead.measure(setting.site, options, workloads.ALL, tell)
    return _whole(ran, ran.result("overhead", overhead.series(ran.figures)))


def _explain(setting: Setting, tell: Tell, *, each: float = 3.0, rounds: int = 2) -> Result:
    """Measure the default workloads, and those that were over the budget.

    ``each``: seconds on a real clock for a workload in a state; they suffice for an interval.
    """
    works = tuple(work for work in workloads.ALL if work.name in {*explain.WORKS, *setting.over})
    options = _options(setting, each * len(works) * len(explain.STATES), rounds)
    ran, series = explain.measure(setting.site, options, works, tell)
    return _whole(ran, ran.result("explain", series))


def _options(setting: Setting, seconds: float, rounds: int) -> overhead.OverheadOptions:
    return overhead.OverheadOptions(seconds=seconds, rounds=rounds, folder=setting.folder, command=setting.command)


def _whole(ran: overhead.Run, result: Result) -> Result:
    if ran.stop:
        raise Partial(result, ran.stop)
    return result


def adjusted(setting: Setting, tell: Tell, *, rounds: int = 15, ves: int = 1000, moments: int = 15) -> Result:
    """The cost of the engine and other tools (0 ``rounds``: not), and when a change is felt (0 ``moments``: not)."""
    began = machine.begin()
    figures: list[Figure] = []
    if rounds:
        figures += adjust.measure(setting.site, rounds=rounds, ves=ves, tell=tell)
    if moments:
        figures += felt.measure(setting.site, setting.folder, rounds=moments, tell=tell)
    return machine.stamp("adjust", setting.command, began, figures)


def lived(setting: Setting, tell: Tell, *, rounds: int = 15) -> Result:
    """The time to make, enter and remove a VE."""
    began = machine.begin()
    found = lifecycle.measure(setting.site, rounds=rounds, tell=tell)
    return machine.stamp("life", setting.command, began, found)


def dense(setting: Setting, tell: Tell, *, ves: int = 200) -> Result:
    """The number of VEs that fit into 1 GB."""
    began = machine.begin()
    figures, series = density.measure(setting.site, ves=ves, tell=tell)
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
    """The cost of a scrape, by number of VEs."""
    began = machine.begin()
    figures, series = exporter.measure(
        setting.site.tree, counts=counts, profile=profile, rounds=rounds, below=below, tell=tell
    )
    return machine.stamp("exporter", setting.command, began, figures, series)


def virtually(setting: Setting, tell: Tell, *, rounds: int = 10) -> Result:
    """The same work in a VE and in a virtual machine."""
    began = machine.begin()
    found = virtual.measure(setting.site, setting.folder, rounds=rounds, tell=tell)
    return machine.stamp("virtual", setting.command, began, found)


def all_of_them(quick: bool) -> tuple[Benchmark, ...]:
    """All benchmarks; those with the most important figures come first."""
    if quick:
        return (
            Benchmark("overhead", 45.0, partial(_overhead, seconds=45.0, rounds=1)),
            Benchmark("explain", 60.0, partial(_explain, each=0.4, rounds=1)),
            Benchmark("adjust", 30.0, partial(adjusted, rounds=3, moments=6)),
            Benchmark("exporter", 40.0, partial(exported, counts=(1, 100), rounds=4)),
            Benchmark("life", 20.0, partial(lived, rounds=6)),
            Benchmark("density", 10.0, partial(dense, ves=64)),
            Benchmark("virtual", 10.0, partial(virtually, rounds=6)),
        )
    return (
        Benchmark("overhead", 180.0, _overhead),
        Benchmark("explain", 500.0, _explain),
        Benchmark("adjust", 120.0, adjusted),
        Benchmark("exporter", 200.0, partial(exported, counts=(1, 100, 1000))),
        Benchmark("life", 50.0, lived),
        Benchmark("density", 25.0, dense),
        Benchmark("virtual", 20.0, virtually),
    )
