"""``rctl show``: everything about some VEs, for people or as JSON."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Option
from ...console.flags import Json, Names, seconds


def show(
    names: Names,
    json: Json = False,
    interval: Annotated[
        str | None,
        Option("--interval", "-i", metavar="TIME", help="Watch for this time and show rates, too: 1s, 500ms"),
    ] = None,
) -> None:
    """Show limits, use, pressure and the room left.

    It also shows the limits above a VE that are tighter than its own.
    """
    from ...cgroupfs.devices import disk_name
    from ...console.output import as_json, say
    from ...console.session import session
    from ...sample.sections import lines

    span = None if interval is None else _interval(interval)
    with session() as s:
        found = s.show(*names, interval=span)
    if json:
        say(as_json([view.exact() for view in found]))
        return
    for number, view in enumerate(found):
        say(*([""] if number else []), *lines(view, disk_name))


def _interval(text: str) -> float:
    """The interval in seconds. Raises UsageError."""
    from ...errors import UsageError

    span = seconds(text, "--interval")
    if not 0.01 <= span <= 3600:
        raise UsageError(f"--interval: {text!r} is out of range 10ms..1h. Write it like 1s")
    return span
