"""The cost of a VE: the same work in the root cgroup ("bare") and in a VE, on the same kernel, by turns.

On an instruction clock a few rounds give a number: the least count over the least count, because a disturbance only
adds to a count. The interval is the range of all ratios. On a real clock, rounds go on until the bootstrap's interval
is narrow, or time is up. Stopping as soon as the verdict is good would bias it. Stopping at a narrow interval prefers
intervals that are narrow by luck, so the interval is looked at seldom, and with more confidence than promised (see
`stats.SEQUENTIAL`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...adjust.site import Site
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import UsageError
from ..figures import stats
from ..figures.result import Figure, Result, Series, Verdict
from ..figures.text import shown
from ..stage import clock, place
from ..stage.machine import Begin, begin, facts
from ..stage.place import Place, Tell, WorkError
from ..workloads import ALL, Kit, Workload, built
from . import reasons

Pair = tuple[float, float]

NARROW = 0.25
"""An interval is narrow if it is not wider than this part of the budget."""
LONG = 0.1
"""Seconds of one measurement on a real clock; more if a single operation takes longer."""
COARSE = 0.001
"""Largest part of a measurement that a load generator's own clock may round off; otherwise all rounds look the same."""

BUSY = (
    "instructions while any task runs (/proc/schedstat); without interrupts that come while all tasks wait, and the "
    "wake-ups in them. Load generators (stress-ng, fio, sysbench) use their own clock, waits included"
)
"""What the instruction clock counts, as a text for the reader of the figures."""

CALM = 0.3
"""Seconds of rest before each measurement on the instruction clock; they cost nothing there."""


class OverheadOptions(msgspec.Struct, frozen=True):
    """How to measure. ``budget``: the highest cost of a VE that passes; 0.02 is 2 %. ``clock``: auto, instructions,
    wall.

    ``rounds``: pairs on the instruction clock. ``seconds``: of measuring on a real clock. ``folder``: on the disk to
    measure. ``lean``: a VE without pressure accounting. ``command``: as typed. ``inside``: an existing VE, unit or
    container, by a name that the tree knows; empty: a VE is made for the run.
    """

    budget: float = 0.02
    clock: str = "auto"
    rounds: int = 2
    seconds: float = 60.0
    folder: str = "/var/tmp"  # noqa: S108 (a new folder is made in it)
    lean: bool = False
    command: str = ""
    inside: str = ""


@dataclass
class Run:
    """The results so far. ``stop``: the exception that interrupted the run."""

    options: OverheadOptions
    counted: bool = False
    began: Begin = field(default_factory=begin)
    figures: list[Figure] = field(default_factory=list)
    pairs: dict[Workload, list[Pair]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    stop: KeyboardInterrupt | None = None

    def result(self, bench: str, series: Sequence[Series] = ()) -> Result:
        """The run as a Result."""
        return Result(
            bench,
            self.options.command,
            self.began.time,
            time.time() - self.began.time,
            "instructions" if self.counted else "wall",
            {**facts(), "load": self.began.load, **self.facts},
            tuple(self.figures),
            tuple(series),
            self.stop is not None,
        )


def measure(site: Site, options: OverheadOptions, works: Sequence[Workload], tell: Tell) -> Run:
    """Measure each workload on both sides; then their geometric means.

    An interruption ends the run early: the result has the figures up to then, and ``stop`` is set. Raises RctlError.
    """
    run = Run(options)
    try:
        with sides(site, run, tell) as (bare, inside, kit):
            budgeted = _Time(options.seconds, len(works))
            for number, work in enumerate(works):
                tell(f"{100 * number // len(works):3}% {work.name}{budgeted.left_text(run.counted, number)}")
                run.figures.append(figure(run, work, bare, inside, kit, budgeted.share(number)))
            if hit := place.throttled(inside.cgroup):
                run.facts["limits that were hit"] = ", ".join(hit)
    except KeyboardInterrupt as stop:
        run.stop = stop
    run.figures += _means(run)
    return run


@contextmanager
def sides(site: Site, run: Run, tell: Tell) -> Iterator[tuple[Place, Place, Kit]]:
    """Both sides, ready. Notes the facts of the run. Leaves nothing behind. Raises RctlError."""
    tell("preparing")
    with (
        place.controllers_as_before(site.tree),
        bare_side(site.tree, run) as (bare, folder, kit),
        _inside(site, run) as cgroup,
    ):
        inside = Place("inside", cgroup, folder)
        counting(run, bare, inside)
        yield bare, inside, kit


@contextmanager
def _inside(site: Site, run: Run) -> Iterator[Cgroup]:
    """The cgroup of the side inside: one that exists, as it is, or a VE with usual limits for the time of the block."""
    options = run.options
    if options.inside:
        with site.tree.open_ve(options.inside) as cgroup:
            run.facts["VE"] = f"{site.tree.name(cgroup.path)}, as it is: {cgroup.path}"
            yield cgroup
        return
    limits = place.usual_limits(site.host, options.folder)
    run.facts["VE"] = _described(limits, options)
    with place.ve(site, place.own_name(), limits, without_pressure=options.lean) as cgroup:
        yield cgroup


@contextmanager
def bare_side(tree: Tree, run: Run) -> Iterator[tuple[Place, str, Kit]]:
    """The bare side, the other side's folder, and the built-in program. Sets the clock and the facts of the run.

    Raises RctlError.
    """
    options = run.options
    with place.folders(options.folder, ("bare", "inside", "tools")) as (bare_folder, inside_folder, tools):
        work, words = built(tools)
        with tree.walk("/") as root:
            bare = Place("bare", root, bare_folder)
            kit = Kit(work, words.startswith("work.c"), bare)
            run.counted = clock.counted(options.clock, strict=kit.strict)
            run.facts |= {"built-in workloads": words, "folder": options.folder}
            yield bare, inside_folder, kit


def counting(run: Run, *places: Place) -> None:
    """On an instruction clock, programs measure busy time without waits: see work.c."""
    if not run.counted:
        return
    if not os.path.exists("/proc/schedstat"):
        run.facts["what is counted"] = "all time, with the emulator's waits, because there is no /proc/schedstat"
        return
    run.facts["what is counted"] = BUSY
    for side in places:
        side.count()


def _described(limits: dict[str, Any], options: OverheadOptions) -> str:
    given = ", ".join(f"{key}={value}" for key, value in limits.items() if key != "io.max")
    disk = f"io.max on {', '.join(limits['io.max'])}" if "io.max" in limits else "no io.max: the folder is on no disk"
    return f"{'lean, ' * options.lean}directly below the root, {given}, {disk}"


class _Time:
    """The time for each workload on a real clock; time that one does not use goes to the others."""

    def __init__(self, seconds: float, works: int) -> None:
        self.end, self.works = time.monotonic() + seconds, works

    def share(self, done: int) -> float:
        return max(0.0, self.end - time.monotonic()) / max(1, self.works - done)

    def left_text(self, counted: bool, done: int) -> str:
        left = self.works - done
        return f", {left} to go" if counted else f", {max(0.0, self.end - time.monotonic()):.0f} s left"


def figure(run: Run, work: Workload, bare: Place, inside: Place, kit: Kit, seconds: float) -> Figure:
    """One workload's figure: the extra time inside the VE, in per cent."""
    unmeasured = Figure(work.name, None, "percent", "", budget=_percent(run), verdict="not measured", group=work.group)
    if why := work.absent(kit):
        return msgspec.structs.replace(unmeasured, origin=why)
    try:
        pairs = run.pairs[work] = []
        for side in (bare, inside):
            work.prepare(side, kit)
        if run.counted:
            _counted(pairs, work, bare, inside, kit, run.options.rounds)
        else:
            _clocked(pairs, work, bare, inside, kit, seconds, run.options.budget)
    except WorkError as error:
        run.pairs.pop(work, None)
        return msgspec.structs.replace(unmeasured, origin=str(error))
    except KeyboardInterrupt:
        run.pairs.pop(work, None)
        raise
    how = ", the least of each side" if run.counted else ""
    origin = f"{work.what}; bare {_amount(pairs)}; {len(pairs)} pairs, by turns (ABBA){how}"
    found = stats.least(pairs) if run.counted else stats.ratio_interval(pairs, stats.SEQUENTIAL)
    judged = _judged(run, work.name, work.group, found, origin)
    return msgspec.structs.replace(judged, note=reasons.ask(work.name)) if judged.verdict == "fail" else judged


def _counted(pairs: list[Pair], work: Workload, bare: Place, inside: Place, kit: Kit, rounds: int) -> None:
    def once(side: Place) -> float:
        settle()
        return work.seconds(side, work.count, kit) / work.count

    if few := work.count // 8:
        for side in (bare, inside):
            work.seconds(side, few, kit)  # some work of the kernel is done at the first time only
    pairs += (pair(number, bare, inside, once) for number in range(rounds))


def settle() -> None:
    """Let the kernel do deferred work first (writing back, freeing), so that it does not count in the measurement."""
    os.sync()
    time.sleep(CALM)


def _clocked(
    pairs: list[Pair], work: Workload, bare: Place, inside: Place, kit: Kit, seconds: float, budget: float
) -> None:
    """Rounds in twos, so that both orders occur equally often."""
    end = time.monotonic() + seconds
    count = _calibrated(work, bare, kit)

    def measured() -> Pair:
        return pair(len(pairs), bare, inside, lambda side: work.seconds(side, count, kit) / count)

    for look in stats.looks():
        while len(pairs) < look:
            pairs.append(measured())
            pairs.append(measured())
            if time.monotonic() > end:
                return
        if stats.ratio_interval(pairs, stats.SEQUENTIAL).width <= NARROW * budget:
            return


def _calibrated(work: Workload, bare: Place, kit: Kit) -> int:
    """The number of operations that take LONG, or longer with a coarse clock. The run that finds it also warms up."""
    if work.fixed:
        return work.count
    count, long = max(1, work.count // 8), max(LONG, work.coarse / COARSE)
    while (took := work.seconds(bare, count, kit)) < long / 4:
        count *= 2
    return max(1, round(count * long / took))


def pair(number: int, first: Place, second: Place, seconds: Callable[[Place], float]) -> Pair:
    """One measurement on each side, (first, second); in every second round the second side begins (ABBA)."""
    if number % 2:
        late = seconds(second)
        return seconds(first), late
    return seconds(first), seconds(second)


def _judged(run: Run, name: str, group: str, found: stats.Interval, origin: str) -> Figure:
    value, low, high = (round(100 * (ratio - 1), 3) for ratio in (found.ratio, found.low, found.high))
    most = 1 + run.options.budget
    verdict: Verdict = stats.verdict(found, most)
    if run.counted:
        verdict = stats.judge(found.ratio, most, found.low, found.high)
    one = Figure(name, value, "percent", origin, low, high, _percent(run), verdict, group)
    spread = found.count > 1 if run.counted else found.sure
    return one if spread else msgspec.structs.replace(one, low=None, high=None)


def _percent(run: Run) -> float:
    return round(100 * run.options.budget, 6)


def _amount(pairs: Sequence[Pair]) -> str:
    import statistics

    return shown(statistics.median(first for first, _ in pairs), "seconds")


def _means(run: Run) -> list[Figure]:
    """The geometric means, of the applications and of all workloads; empty if nothing was measured."""
    found = []
    for name, works in (
        ("applications, geometric mean", [work for work in run.pairs if work.application]),
        ("all, geometric mean", list(run.pairs)),
    ):
        cases = [run.pairs[work] for work in works]
        if cases:
            origin = f"of {len(cases)}: {', '.join(work.name for work in works)}"
            mean = stats.least_mean(cases) if run.counted else stats.geometric_mean(cases, stats.SEQUENTIAL)
            found.append(_judged(run, name, "geometric means", mean, origin))
    return found


def series(figures: Sequence[Figure]) -> tuple[Series, ...]:
    """The overheads as bars."""
    measured = [figure for figure in figures if figure.value is not None]
    names = tuple(figure.name for figure in measured)
    return (Series("overhead", names, tuple(figure.value or 0.0 for figure in measured), "percent", "workload"),)


def overhead(site: Site, options: OverheadOptions, tell: Tell, works: Sequence[Workload] = ALL) -> Result:
    """The whole benchmark. Raises RctlError if no VE can be made, UsageError for a wrong clock.

    An interruption is raised again; ``measure`` has the figures up to then.
    """
    if not works:
        raise UsageError("overhead: no workload to measure. See --list")
    run = measure(site, options, works, tell)
    if run.stop:
        raise run.stop
    return run.result("overhead", series(run.figures))
