"""Blocks the signals that ask a program to end, for a moment."""

from __future__ import annotations

import signal
from _signal import pthread_sigmask  # type: ignore[import-not-found]  # signal.pthread_sigmask makes enums of the answer

STOPS = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
"""The signals of Ctrl-C, ``kill`` and a terminal that closes."""


class undisturbed:  # noqa: N801 (a class costs less than a generator)
    """Block ``STOPS`` during the block; blocked signals arrive at its end. The block gets the old mask, a set.

    Within another one it does nothing. A signal at the very beginning is raised as usual; then nothing is blocked.
    """

    def __enter__(self) -> set[int]:
        try:
            before: set[int] = pthread_sigmask(signal.SIG_BLOCK, STOPS)
        except BaseException:  # Python runs handlers after the mask is changed
            pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            raise
        self._before = before
        return before

    def __exit__(self, *_: object) -> None:
        if not self._before >= STOPS:
            pthread_sigmask(signal.SIG_SETMASK, self._before)
