"""``rctl timers``: timed adjustments that have not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ..console.declare import Argument, changes
from ..console.flags import Json, seconds
from ..console.rows import VerbRow

if TYPE_CHECKING:
    from ..over_time.timers import TimedLimit, TimerRow

HEAD = ("ID", "VE", "LIMIT", "NOW", "THEN", "LEFT")
TimerId = Annotated[str, Argument(metavar="ID", help="The id of a timed adjustment, from rctl timers")]


def list_(json: Json = False) -> None:
    """List timed adjustments, the next one to end first.

    NOW is the value that the limit has. THEN is the value to which it goes back when the time is over, or "stays" if
    another program has changed the limit since.
    """
    from ..console.output import as_json, columns, say, warn
    from ..console.session import session

    with session() as s:
        found = s.timers()
    if json:
        say(as_json(found))
    elif found:
        columns(HEAD, [row for timer in found for row in _rows(timer)], right=frozenset({5}), whole=(0, 2), spare=(3,))
    else:
        warn("no timers. Set one: rctl set NAME memory.max=1G --for 10m")


@changes
def extend(
    timer: TimerId,
    time: Annotated[str, Argument(metavar="TIME", help="How much longer: 10m, 2h")],
    json: Json = False,
) -> None:
    """Let a timed adjustment last longer."""
    from ..console.output import as_json, done
    from ..console.session import session

    with session() as s:
        found = s.extend_timer(timer, seconds(time, "TIME"))
    done(as_json(found) if json else f"{timer}: ends at {clock(found.until)}")


@changes
def cancel(timer: TimerId, json: Json = False) -> None:
    """Cancel a timer: the limits of its adjustment stay for good.

    To put them back now, use rctl undo ID.
    """
    from ..console.output import as_json, done
    from ..console.session import session

    with session() as s:
        found = s.cancel_timer(timer)
    done(as_json(found) if json else f"{timer}: its limits stay")


def wait() -> None:
    """Wait for timers and end them; started by rctl set --for, if no other process waits."""
    from ..console.session import session

    with session() as s:
        s.wait_for_timers()


VERBS = (
    VerbRow("list", f"{__name__}:list_", "List timed adjustments, the next one to end first."),
    VerbRow("extend", f"{__name__}:extend", "Let a timed adjustment last longer."),
    VerbRow("cancel", f"{__name__}:cancel", "Cancel a timer: the limits of its adjustment stay for good."),
    VerbRow("wait", f"{__name__}:wait", "Wait for timers and end them.", hidden=True),
)


def _rows(timer: TimerRow) -> list[tuple[str, ...]]:
    left = remaining(timer.left)
    if not timer.limits:
        return [(timer.id, "-", "-", "-", "its VEs are gone", left)]
    return [(timer.id, *_limit(limit), left) for limit in timer.limits]


def _limit(limit: TimedLimit) -> tuple[str, ...]:
    from ..adjust.steps import shown
    from ..limits import file_named

    now, then = (shown(text, file_named(limit.limit).unit) for text in (limit.now, limit.then))
    ends = "stays" if limit.stays else then if limit.there else "the VE is gone"
    return (limit.ve, f"{limit.limit} {limit.device}".strip(), now if limit.there else "-", ends)


def remaining(left: float) -> str:
    """A time that is left, for people: ``9:59``, ``2:00:00``, ``over``."""
    if left <= 0:
        return "over"
    minutes, rest = divmod(round(left), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def clock(moment: float) -> str:
    """A moment for people, in local time."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
