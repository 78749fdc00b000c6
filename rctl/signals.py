"""Blocks the signals that ask a program to end, for a moment."""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]  # the C part of signal, which makes no enums
    SIG_BLOCK,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SIGHUP,
    SIGINT,
    SIGTERM,
    pthread_sigmask,
)

STOPS: frozenset[int] = frozenset((SIGHUP, SIGINT, SIGTERM))
"""The signals of Ctrl-C, ``kill`` and a terminal that closes."""


class undisturbed:  # noqa: N801 (a class costs less than a generator)
    """Block ``STOPS`` during the block; blocked signals arrive at its end. The block gets the old mask, a set.

    Within another one it does nothing. A signal at the very beginning is raised as usual; then nothing is blocked.
    """

    def __enter__(self) -> set[int]:
        try:
            before: set[int] = pthread_sigmask(SIG_BLOCK, STOPS)
        except BaseException:  # Python runs handlers after the mask is changed
            pthread_sigmask(SIG_UNBLOCK, STOPS)
            raise
        self._before = before
        return before

    def __exit__(self, *_: object) -> None:
        if not self._before >= STOPS:
            pthread_sigmask(SIG_SETMASK, self._before)
