"""The progress that an adjustment reports."""

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True):
    """Progress. ``what``: wait, journal, step, reclaim, rollback or close; ``done`` of ``total``; ``text`` for people.

    ``wait`` comes once, after a second of waiting for another adjustment.
    """

    what: str
    done: int = 0
    total: int = 0
    text: str = ""


Progress = Callable[[Event], None]


def quiet(event: Event) -> None:
    """Ignore progress."""


def waits(progress: Progress) -> Progress:
    """A progress that only passes on waits."""
    return lambda event: progress(event) if event.what == "wait" else None
