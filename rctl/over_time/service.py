"""Runs ``rctl keep`` in the foreground, as a service manager starts it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from ..adjust.request import Options
from ..adjust.site import Site
from ..errors import BusyError
from .keeping import Keeper, KeepEvent
from .waker import Waker, start_sleeper_if_needed, take_over


def keep(site: Site, options: Options, *, enforce: bool, tell: Callable[[KeepEvent], object]) -> None:
    """Keep desired limits and end timers, until a signal ends the process. It then leaves timers to a sleeper.

    Raises BusyError if another one runs already, NotAvailableError without inotify.
    """
    waker = Waker(site.state)
    keeper: Keeper | None = None
    try:
        keeper = Keeper(site, options, enforce=enforce, tell=tell)  # if this fails, the sleeper goes on
        if not take_over(waker, site.state):
            raise BusyError("keep: another rctl keep runs already. End it first, or leave this to it")
        moment = keeper.step()
        notify("READY=1")
        while True:
            waker.wait(moment, [keeper.fileno()])
            moment = keeper.step()
    finally:
        notify("STOPPING=1")
        waker.close()
        if keeper is not None:
            keeper.close()
            if keeper.timers:
                start_sleeper_if_needed(site.state)


def notify(state: str) -> None:
    """Tell the service manager: sd_notify(3). Without one, nothing happens."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place[:1] not in ("/", "@"):
        return
    sys.stdout.flush()
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state.encode(), "\0" + place[1:] if place[0] == "@" else place)
