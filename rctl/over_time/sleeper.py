"""The sleeper: a process of rctl's own that waits for the end of timed adjustments where no service does.

There is one at a time. It ends when no timer is left.
"""

from __future__ import annotations

import os
import syslog
import time
from contextlib import suppress

from ..adjust.records.checkpoint import desired_limits
from ..adjust.records.journal import left_open, peek
from ..adjust.recovery.recover import recover
from ..adjust.request import Options
from ..adjust.site import Site
from ..errors import RctlError
from .timers import settle
from .waker import READY, Waker, connected

_AGAIN = 30.0
"""Seconds until a timer that could not be ended is tried again."""


def sleep(site: Site) -> None:
    """Wait for the end of the process that started this one, then for timers, and end each at its time.

    Returns when none is left, or another process waits for them.
    """
    waker = Waker(site.state)
    try:
        _until_the_parent_ends()
        while not waker.take():
            if (link := connected(site.state)) is not None:
                link.close()  # it looks again now
                return
            time.sleep(0.01)  # it has just begun, or is about to end
        while not waker.asked_to_go:
            moment = next_moment(site)
            if moment is None and waker.leave():
                return
            waker.wait(moment)
    finally:
        waker.close()


def next_moment(site: Site) -> float | None:
    """End what is due. Returns the time of the next look, in seconds since 1970; ``None``: no timer is left.

    What cannot be done goes to the system log, and is tried again.
    """
    failed: list[Exception] = []
    try:
        _settle_crashed(site)
        failed += settle(site, Options(command="rctl timers"))[1]
        if not failed:
            timers = desired_limits(site.state).timers.values()
            return min((timer.until for timer in timers), default=None)
    except (RctlError, OSError) as error:
        failed.append(error)
    for one in failed:
        syslog.syslog(syslog.LOG_ERR, f"rctl: a timer could not be ended: {one}. It is tried again")
    return time.time() + _AGAIN


def _settle_crashed(site: Site) -> None:
    """Settle a timed adjustment that a crash left open: it may have set its limits already."""
    state = site.state
    for name in left_open(state):
        with suppress(RctlError):
            record = peek(state, name)
            if record is not None and record.until:
                recover(site, Options().deadline)
                return


def _until_the_parent_ends() -> None:
    """Standard input is a connection to the process that started this one. It ends with that process."""
    with suppress(OSError):
        os.write(0, READY)
        while os.read(0, 16):
            pass
