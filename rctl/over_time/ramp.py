"""A ramp: limits of VEs move to their new values in steps, all VEs together.

Each step is one transaction of the engine, and its record carries the id of the ramp: so ``undo`` takes back the whole
ramp. If a step fails, if pressure passes a bound, or if rctl is stopped, all is put back. After ``kill -9`` the limits
stay at a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..adjust.account import Account
from ..adjust.engine import adjust, transact
from ..adjust.records.journal import new_id
from ..adjust.request import Options, Wish
from ..adjust.site import Site
from ..adjust.steps import ChangePart, Enable, Reclaim, Set, by_entry
from ..cgroupfs.tree import Tree
from ..errors import NotFoundError, RctlError, RollbackError, UsageError
from ..formats import Write
from ..limits import Limits, file_named
from . import pressure, timers
from .spans import Span, use_file, values
from .taking_back import take_back

STEPS = 20
"""Steps of a ramp whose number is not given; fewer if they would be less than a second apart."""
MOST = 1000
_LOOK = 1.0
"""Seconds between two looks at the pressure."""
_AFTER = 10.0
"""Longest time to watch the pressure after the last step."""


class RampStep(msgspec.Struct, frozen=True):
    """One step: its number, of so many, the seconds since the begin, and the values by VE, file and device."""

    step: int
    steps: int
    seconds: float
    values: dict[str, dict[str, str]]
    account: Account | None = None


class Ramped(msgspec.Struct, frozen=True):
    """A ramp that reached its goal, or is planned. ``id``: for ``undo``; ``None``: nothing was written.

    ``until``: when the old values come back, in seconds since 1970; ``None``: they do not.
    """

    id: str | None
    steps: int
    seconds: float
    account: Account
    until: float | None = None


def times(seconds: float, steps: int | None) -> list[float]:
    """When each step begins: the first at once, the last at the end. Raises UsageError for a wrong number of steps."""
    count = max(2, min(STEPS, int(seconds) + 1)) if steps is None else steps
    if not 2 <= count <= MOST:
        raise UsageError(f"--steps: {count} is out of range: 2 to {MOST}")
    return [*(seconds * number / (count - 1) for number in range(count - 1)), seconds]


def ramp(
    site: Site,
    limits: Mapping[str, Limits],
    options: Options,
    seconds: float,
    *,
    steps: int | None = None,
    stop_at: str = "",
    lasting: float | None = None,
    each: Callable[[RampStep], object] = id,
) -> Ramped:
    """Move limits of VEs, by name, to these values within ``seconds``. ``each`` is called after each step.

    ``steps``: unset, 20, or one a second; one alone if no step before the last would be felt. ``stop_at``: see
    ``pressure.parse``. ``lasting``: seconds after the last step, when the old values come back. A dry run calls
    ``each`` with the values.

    Raises RctlError, PressureError among them, after all was put back; RollbackError if that failed.
    """
    when = times(seconds, steps)
    timers.check(lasting, when[1])
    goal = adjust(site, limits, msgspec.structs.replace(_timed(options, lasting), dry_run=True))
    spans = _spans(site.tree, goal)
    bounds = (
        pressure.parse(stop_at, {span.file.controller for own in spans.values() for span in own}) if stop_at else {}
    )
    moves = {name: [values(span, len(when), site.host) for span in own] for name, own in spans.items()}
    if all(len(set(move)) == 1 for own in moves.values() for move in own):
        when = when[:1]  # down from max, and less is in use than the goal allows: no step would be felt
    pressure.check(site.tree, spans, bounds, first=True)
    if not spans:
        return Ramped(None, 0, 0.0, goal)
    if options.dry_run:
        for number, moment in enumerate(when):
            each(RampStep(number + 1, len(when), moment, _told(spans, moves, number)))
        return Ramped(None, len(when), seconds, goal)
    inodes = {name: _ino(site.tree, name) for name in spans}
    ramp_id, begin, account = new_id(), time.monotonic(), goal
    part, until = 1, None
    with timers.waiting(site, lasting):
        try:
            for number, moment in enumerate(when):
                _wait(site.tree, spans, bounds, begin + moment)
                wishes = [_wish(name, spans[name], moves[name], number, inodes[name]) for name in spans]
                how = msgspec.structs.replace(_timed(options, lasting), part=ChangePart(ramp_id, part))
                account = transact(site, wishes, how)
                if how.until:
                    account, until = timers.noted(account), how.until
                part += account.id is not None
                each(RampStep(number + 1, len(when), time.monotonic() - begin, _told(spans, moves, number), account))
            if bounds:
                _wait(site.tree, spans, bounds, time.monotonic() + min(_AFTER, seconds / len(when)))
        except RollbackError:
            raise
        except BaseException as error:
            _put_back(site, options, ramp_id, error)
            raise
    return Ramped(ramp_id, len(when), time.monotonic() - begin, account, until)


def _timed(options: Options, lasting: float | None) -> Options:
    """The options of one step; the time of a timed ramp counts from its last one."""
    return options if lasting is None else msgspec.structs.replace(options, until=time.time() + lasting)


def _spans(tree: Tree, goal: Account) -> dict[str, list[Span]]:
    """The entries that differ from the goal, by VE."""
    found: dict[str, list[Span]] = {}
    for outcome in goal.outcomes:
        for step in outcome.steps:
            if not isinstance(step, Set | Enable | Reclaim):
                raise UsageError(f"{outcome.name}: {step.describe()}: cannot be ramped. Set it without --over")
        for (path, name, key), sets in by_entry(outcome.steps).items():
            if (old := sets[0].old) != (new := sets[-1].new):
                file = file_named(name)
                use = _use(tree, path, use_file(file)) if old == "max" else None
                found.setdefault(outcome.name, []).append(Span(file, key, old, new, use))
    return found


def _use(tree: Tree, path: str, file: str) -> int | None:
    if not file:
        return None
    with tree.walk(path) as cgroup:
        text = cgroup.read_if_there(file)
    return int(text) if text else None if text is None else 0


def _ino(tree: Tree, name: str) -> int:
    with tree.open_ve(name) as ve:
        return ve.ino


def _wish(name: str, spans: Sequence[Span], moves: Sequence[Sequence[str]], number: int, ino: int) -> Wish:
    """The entries of a VE after a step. What the step before wrote must still be there."""
    writes = tuple(Write(span.file, move[number], span.key) for span, move in zip(spans, moves, strict=True))
    expected = {(s.file.name, s.key): move[number - 1] for s, move in zip(spans, moves, strict=True)} if number else {}
    return Wish(name, writes, expected, ino)


def _told(
    spans: Mapping[str, Sequence[Span]], moves: Mapping[str, Sequence[Sequence[str]]], number: int
) -> dict[str, dict[str, str]]:
    return {
        name: {
            f"{span.file.name} {span.key}".strip(): move[number] for span, move in zip(own, moves[name], strict=True)
        }
        for name, own in spans.items()
    }


def _wait(tree: Tree, spans: Mapping[str, object], bounds: Mapping[str, float], until: float) -> None:
    """Wait, and look at the pressure meanwhile."""
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK) if bounds else left)
        pressure.check(tree, spans, bounds)


def _put_back(site: Site, options: Options, ramp_id: str, cause: BaseException) -> None:
    """Take back what the ramp wrote. Raises RollbackError if that fails: then it stays."""
    try:
        take_back(site, msgspec.structs.replace(options, part=None), ramp_id, cause)
    except NotFoundError:
        cause.add_note("nothing of the ramp is left to take back")
        return
    except RctlError as error:
        raise RollbackError(
            f"{cause}. The ramp stopped, and was not put back: {error}. To take it back: rctl undo {ramp_id} --force"
        ) from cause
    cause.add_note("the ramp stopped, and was put back")
