"""The server's messages on standard error: one line each, and few of the same kind."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_FIRST = 5
_SECONDS = 60.0


class Log:
    """One-line messages by kind. Of each kind, the first five in a minute are written; the others are counted."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """``stream``: the output; ``None``: standard error at the time of writing. ``clock``: seconds."""
        self._stream = stream
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def say(self, text: str) -> None:
        """Write a line."""
        line = " ".join(text.split())
        line = "".join(letter if letter.isprintable() else "?" for letter in line)
        try:
            print(f"rctl-exporter: {line[:500]}", file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):  # the reader of the log is gone; the server goes on
            return

    def warn(self, kind: str, text: str) -> None:
        """Write a line, unless its ``kind`` had enough in this minute. ``kind``: one of a few words."""
        begun, seen = self._kinds.get(kind, (float("-inf"), 0))
        now = self._clock()
        if now - begun >= _SECONDS:
            if seen > _FIRST:
                self.say(f"{seen - _FIRST} more messages of the kind {kind!r} in the last minute")
            begun, seen = now, 0
        self._kinds[kind] = begun, seen + 1
        if seen < _FIRST:
            self.say(text)
