"""How an adjustment tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True):
    """Progress. ``what``: wait, journal, step, reclaim, rollback or close; ``done`` of ``total``; ``text`` for people.

    ``wait`` comes once, when another adjustment has been waited for for a second.
    """

    what: str
    done: int = 0
    total: int = 0
    text: str = ""


Progress = Callable[[Event], None]


def quiet(event: Event) -> None:
    """Progress for nobody."""


def waits(progress: Progress) -> Progress:
    """A progress that hears of waits alone."""
    return lambda event: progress(event) if event.what == "wait" else None
