"""The signals that ask a program to end, and how to hold them back for a moment."""

from __future__ import annotations

import signal
from _signal import pthread_sigmask  # type: ignore[import-not-found]  # signal.pthread_sigmask makes enums of the answer

STOPS = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
"""What Ctrl-C, ``kill`` and a terminal that closes send."""


class undisturbed:  # noqa: N801 (it reads as what it does; a class costs less than a generator)
    """Hold back ``STOPS`` while the block runs; they come when it ends. The block gets the mask from before, a set.

    Within another one it does nothing. A signal that comes at the very beginning is raised as it would be without, and
    nothing is held back then.
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
