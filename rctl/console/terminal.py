"""Fits tables and lines to a terminal. In a pipe, output is plain and complete."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

from ..late_regex import regex

_ID = regex(r"[0-9a-f]{64}")
_READABLE, _LEAST = 16, 8
"""Characters to which a text column is cut: before columns of numbers are left out, and after."""


def width(stream: TextIO) -> int | None:
    """Columns of the terminal behind a stream; ``None`` for a pipe or a file. ``COLUMNS`` overrides it."""
    if not stream.isatty():
        return None
    if (told := os.environ.get("COLUMNS", "")).isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def colors(stream: TextIO) -> bool:
    """True if the stream may have bold and colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def fit(widths: Sequence[int], room: int, texts: Sequence[int], spare: Sequence[int] = ()) -> list[int]:
    """The width of each column of a table so that it fits into ``room``; 0 leaves the column out. Pure.

    ``texts``: columns that may be cut. ``spare``: columns that may be left out, in this order; after these, columns
    from the right.
    """
    for gone in range(len(spare) + 1):
        found = [0 if column in spare[:gone] else width for column, width in enumerate(widths)]
        _cut(found, room, texts, _READABLE)
        if _total(found) <= room:
            return found
    _cut(found, room, texts, _LEAST)
    for column in range(len(found) - 1, 0, -1):
        if _total(found) > room:
            found[column] = 0
    return found


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (sum(map(bool, widths)) - 1)


def _cut(widths: list[int], room: int, texts: Sequence[int], least: int) -> None:
    while (over := _total(widths) - room) > 0:
        widest = max(texts, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= least:
            return
        widths[widest] = max(least, widths[widest] - over)


def cut(text: str, most: int, *, name: bool = False) -> str:
    """A text of at most ``most`` characters, with ``~`` for what was cut: at the end, or in the middle of a ``name``.

    The end of a name distinguishes it more often than its beginning, so more of that stays.
    """
    if len(text) <= most:
        return text
    if not name or most < 3:
        return text[: max(0, most - 1)] + "~" * (most > 0)
    head = (most - 1) // 3
    return f"{text[:head]}~{text[head + 1 - most :]}"


def short_ids(text: str) -> str:
    """The text with the ids of containers as docker and podman show them: twelve digits."""
    return _ID.sub(lambda found: found[0][:12] + "~", text)


def wrapped(line: str, indent: int, room: int | None, *, breaks: bool = False) -> list[str]:
    """A line as several lines that fit, all but the first indented; unchanged if ``room`` is ``None``.

    ``breaks``: also break a word that is longer than the room; otherwise it stays whole.
    """
    if room is None or len(line) <= room or room < 2 * indent:
        return [line]
    import textwrap

    start = len(line) - len(line.lstrip())
    return textwrap.wrap(
        line.lstrip(),
        room,
        initial_indent=" " * start,
        subsequent_indent=" " * indent,
        break_long_words=breaks,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def clock(seconds: float) -> str:
    """CPU time as ps(1) shows it: hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
