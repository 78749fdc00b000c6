"""All benchmarks in one run, one after the other. The claims are made from them at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import RctlError, UsageError
from . import claims
from .figures.result import Figure, Result, common
from .figures.text import left
from .parts import reasons
from .parts.benchmarks import Benchmark, Partial, Setting, all_of_them
from .stage import machine
from .stage.place import Tell, WorkError


class RunOfAll(NamedTuple):
    """``results``: those that were measured. ``stop``: the exception that interrupted the run, or ``None``."""

    results: list[Result]
    stop: KeyboardInterrupt | None


def chosen(only: Sequence[str], *, quick: bool) -> tuple[Benchmark, ...]:
    """The benchmarks of these names; all if there are no names. Raises UsageError for an unknown name."""
    every = all_of_them(quick)
    known = [part.name for part in every]
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name!r}: there is no such benchmark. Give one of {', '.join(known)}")
    return tuple(part for part in every if not only or part.name in only)


def run(setting: Setting, chosen: Sequence[Benchmark], tell: Tell, begin: Callable[[str], None]) -> RunOfAll:
    """Run the parts. ``tell`` is called with each step, ``begin`` with a line for each part.

    A part that cannot run is in the results, with the reason. An interruption ends the run with the results so far.
    """
    results: list[Result] = []
    stop: KeyboardInterrupt | None = None
    bar = Bar(chosen)

    def teller(name: str) -> Tell:
        return lambda text: tell(bar.line(f"{name}: {text}"))

    for part in chosen:
        begin(f"{part.name}: part {bar.number + 1} of {len(chosen)}, about {left(bar.left())} left in all")
        began = machine.begin()
        try:
            place = setting._replace(over=_over(results))
            results.append(part.run(place, teller(part.name)))
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
    return RunOfAll(with_claims(results, setting.command), stop)


class Bar:
    """The progress of a run of several parts. It estimates the time left from the times of the parts so far."""

    def __init__(self, chosen: Sequence[Benchmark], clock: Callable[[], float] = time.monotonic) -> None:
        self._chosen, self._clock = chosen, clock
        self.number = 0
        self._begin = self._here = clock()

    def next(self) -> None:
        """Note the end of the present part."""
        self.number += 1
        self._here = self._clock()

    def left(self) -> float:
        """Seconds until the end, estimated."""
        done = sum(part.seconds for part in self._chosen[: self.number])
        slow = (self._here - self._begin) / done if done else 1.0
        spent = self._clock() - self._here
        rest = [part.seconds * slow for part in self._chosen[self.number :]]
        return max(rest[0] - spent, rest[0] / 20) + sum(rest[1:]) if rest else 0.0

    def line(self, text: str) -> str:
        """The bar, the share that is done, the time left, and the present step."""
        gone, rest = self._clock() - self._begin, self.left()
        share = gone / (gone + rest) if gone + rest else 1.0
        filled = int(20 * share)
        return f"[{'#' * filled}{'-' * (20 - filled)}] {100 * share:3.0f} %, {left(rest)} left, {text}"


def with_claims(results: Sequence[Result], command: str = "") -> list[Result]:
    """The results, with causes for the figures over their budget, and with new claims.

    If one benchmark ran several times on one kind of clock, the last run counts.
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
    """The benchmarks that ran several times on one kind of clock."""
    often = Counter((result.bench, result.clock) for result in results if result.bench != "claims")
    return [f"{bench} ({clock} clock)" for (bench, clock), count in often.items() if count > 1]


def _over(results: Sequence[Result]) -> tuple[str, ...]:
    figures = (figure for result in results if result.bench == "overhead" for figure in result.figures)
    return tuple(figure.name for figure in figures if figure.verdict == "fail")


def _failed(name: str, setting: Setting, began: machine.Begin, why: str) -> Result:
    figure = Figure(name, None, "count", why, verdict="not measured")
    return machine.stamp(name, setting.command, began, [figure])
