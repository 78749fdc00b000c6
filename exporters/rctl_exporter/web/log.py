"""What the server says on standard error: one line each, and not the same thing over and over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_FIRST = 5
_SECONDS = 60.0


class Log:
    """One-line messages by kind. Of a kind, the first five of a minute are written, the others only counted."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """``stream``: where to; ``None``: standard error as it is then. ``clock``: seconds."""
        self._stream = stream
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def say(self, text: str) -> None:
        """Write a line."""
        line = " ".join(text.split())
        line = "".join(letter if letter.isprintable() else "?" for letter in line)
        try:
            print(f"rctl-exporter: {line[:500]}", file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):  # nobody reads the log: no reason to end
            return

    def warn(self, kind: str, text: str) -> None:
        """Write a line unless there were enough of its ``kind``, a word out of a small set, in this minute."""
        begun, seen = self._kinds.get(kind, (float("-inf"), 0))
        now = self._clock()
        if now - begun >= _SECONDS:
            if seen > _FIRST:
                self.say(f"{seen - _FIRST} more of that kind ({kind}) in the minute before")
            begun, seen = now, 0
        self._kinds[kind] = begun, seen + 1
        if seen < _FIRST:
            self.say(text)
