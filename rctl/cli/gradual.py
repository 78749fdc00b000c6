"""The flags and the output of changes that take time, for the verbs that can make one: ``set`` and ``apply``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..console.declare import Exit
from ..console.flags import seconds
from ..console.output import as_json_line, done, report, say, tell, warn
from ..errors import UsageError

if TYPE_CHECKING:
    from ..api.session import Session
    from ..over_time.ramp import RampStep
    from ..over_time.rolling import Rolled, RollEvent
    from ..spec import Spec

KEPT = 4
"""Exit status if a part of a rolling change is done and stays."""
_STATUS = {"done": 0, "planned": 0, "put back": 1, "kept": KEPT}
_NAMED = 5


class Flags(msgspec.Struct, frozen=True):
    """The flags as typed; ``None``: not given."""

    batch: str | None = None
    pause: str | None = None
    check: str | None = None
    check_timeout: str | None = None
    abort_after: int | None = None
    on_abort: str | None = None
    retry: str | None = None
    over: str | None = None
    steps: int | None = None
    stop_at_pressure: str | None = None

    @property
    def given(self) -> list[str]:
        """The flags that were given, as typed on the command line."""
        return [f"--{name.replace('_', '-')}" for name in self.__struct_fields__ if getattr(self, name) is not None]

    @property
    def rolls(self) -> bool:
        """True for a rolling change. Raises UsageError for flags that need another, or exclude one another."""
        ramping = [flag for flag in self.given if flag in ("--over", "--steps", "--stop-at-pressure")]
        rolling = [flag for flag in self.given if flag not in ramping]
        if ramping and "--over" not in ramping:
            raise UsageError(f"{ramping[0]}: belongs to a ramp. Give --over, too: --over 5min")
        if ramping and rolling:
            raise UsageError(f"{rolling[0]}: cannot be combined with --over. Give one of them")
        if "--retry" in rolling and len(rolling) > 1:
            other = next(flag for flag in rolling if flag != "--retry")
            raise UsageError(f"--retry: the options of that change are known. Leave {other} out")
        if rolling and not {"--retry", "--batch"} & {*rolling}:
            raise UsageError(f"{rolling[0]}: belongs to a rolling change. Give --batch, too: --batch 10%")
        return bool(rolling)

    @property
    def ramps(self) -> bool:
        """True for a ramp."""
        return not self.rolls and self.over is not None


def roll(s: Session, what: Mapping[str, Any] | str | Spec | None, flags: Flags, *, json: bool, **how: Any) -> None:
    """Make a rolling change, and print it. Raises Exit with 1 or 4 if not all is done."""
    named: dict[str, Any] = {
        "batch": flags.batch,
        "pause": None if flags.pause is None else seconds(flags.pause, "--pause"),
        "check": flags.check,
        "check_timeout": None if flags.check_timeout is None else seconds(flags.check_timeout, "--check-timeout"),
        "abort_after": flags.abort_after,
        "on_abort": flags.on_abort,
        "retry": flags.retry,
    }
    shown = _Shown(json, dry_run=bool(how.get("dry_run")))
    result = s.roll(
        what, each=shown.event, **{name: value for name, value in named.items() if value is not None}, **how
    )
    if not json:
        done(_in_short(result, "apply FILE" if what is not None and not isinstance(what, Mapping) else "set"))
        _come_back(result.id if result.status != "put back" else None, result.until)
    if status := _STATUS[result.status]:
        raise Exit(status)


class _Shown:
    """Shows the events of a rolling change."""

    def __init__(self, json: bool, *, dry_run: bool) -> None:
        self._json, self._dry_run = json, dry_run
        self._told: set[str] = set()

    def event(self, event: RollEvent) -> None:
        if self._json:
            (say if self._dry_run else done)(as_json_line(event))
            return
        if event.account and self._dry_run:
            say(f"batch {event.batch} of {event.batches}: {_names(event.names)}")
            report(event.account, json=False)
            return
        for note in event.account.notes if event.account else ():
            if note not in self._told:
                self._told.add(note)
                warn(note)
        if event.event == "begin":
            done(f"{event.id}: {event.ves} VEs in {event.batches} batches")
        elif event.event == "batch":
            self._batch(event)
        if event.event != "end":
            tell(_progress(event))

    @staticmethod
    def _batch(event: RollEvent) -> None:
        for name in event.gone:
            warn(f"{name}: was removed meanwhile; it is left out")
        for name, why in event.failed.items():
            warn(why if why.startswith((f"{name}:", f"{name} ")) else f"{name}: {why}")
        done(f"batch {event.batch} of {event.batches}: {_names(event.names)}")


def _progress(event: RollEvent) -> str:
    rate = f", {event.done / event.seconds:.3g}/s" if event.seconds >= 1 and event.done else ""
    return f"{event.done} of {event.ves} VEs done{rate}, {event.failures} failed"


def _names(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _in_short(result: Rolled, verb: str) -> str:
    """The end of a rolling change in one line."""
    count = len(result.done) + len(result.failed) + len(result.left) + len(result.gone)
    if result.status == "planned":
        return f"{count} VEs; nothing is changed"
    if result.status == "done":
        all_of = f"{len(result.done)} of {count}" if result.gone else f"all {count}"
        return f"{result.id}: {all_of} VEs are done. To take them back: rctl undo {result.id}"
    failed = f"{len(result.failed)} failed"
    again = f"Go on: rctl {verb} --retry {result.id}"
    if result.status == "put back":
        return f"{result.id}: stopped, {failed}; nothing is changed. {again}"
    left = f", {len(result.left)} not begun" if result.left else ""
    return (
        f"{result.id}: {len(result.done)} of {count} VEs are done and stay, {failed}{left}. "
        f"{again}; take back: rctl undo {result.id}"
    )


def ramp(s: Session, limits: Mapping[str, Any], flags: Flags, *, json: bool, dry_run: bool, **how: Any) -> None:
    """Make a ramp, and print its steps."""
    assert flags.over is not None
    notes: set[str] = set()

    def each(step: RampStep) -> None:
        if json:
            (say if dry_run else done)(as_json_line(step))
            return
        for note in step.account.notes if step.account else ():
            if note not in notes:
                notes.add(note)
                warn(note)
        (say if dry_run else done)(_step(step))

    over = seconds(flags.over, "--over")
    more: dict[str, Any] = {"steps": flags.steps, "stop_at_pressure": flags.stop_at_pressure}
    given = {name: value for name, value in more.items() if value is not None}
    result = s.ramp(limits, over, dry_run=dry_run, each=each, **given, **how)
    if json:
        return
    if result.id is None:
        report(result.account, json=False) if not result.steps else say("nothing is changed")
    else:
        done(f"{result.id}: the goal is reached. To take back the whole ramp: rctl undo {result.id}")
        _come_back(result.id, result.until)


def _come_back(id: str | None, until: float | None) -> None:  # noqa: A002 (the word that the history uses)
    if id and until:
        from ..over_time.timers import come_back

        warn(come_back(id, until))


def _step(step: RampStep) -> str:
    from ..adjust.steps import shown
    from ..limits import file_named

    told = [
        f"{name} {limit} {shown(value, file_named(limit.partition(' ')[0]).unit)}"
        for name, own in step.values.items()
        for limit, value in own.items()
    ]
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f"step {step.step} of {step.steps}, after {round(step.seconds, 1):g} s: {', '.join(told[:_NAMED])}{more}"
