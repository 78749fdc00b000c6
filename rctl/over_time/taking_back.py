"""Takes back a rolling change or a ramp that was stopped, in its own process."""

from __future__ import annotations

import traceback
from contextlib import suppress

from ..adjust.recovery.recover import recover
from ..adjust.request import Options
from ..adjust.site import Site
from ..adjust.undoing.undo import undo
from ..errors import RctlError


def settle(site: Site, options: Options, stop: BaseException | None = None) -> None:
    """Settle what the part under way left: an interruption may have come when it was carried out, and not yet recorded.

    ``stop``: the interruption. Its frames may hold locks of that part, and are cleared. What cannot be settled stays
    for ``rctl recover``; undo names it.
    """
    while stop is not None:
        traceback.clear_frames(stop.__traceback__)
        stop = stop.__context__
    with suppress(RctlError):
        recover(site, options.deadline, options.wait)


def take_back(site: Site, options: Options, change: str, stop: BaseException | None = None) -> None:
    """Take back all parts of a change. Raises NotFoundError if there are none, RctlError if they stay."""
    settle(site, options, stop)
    undo(site, options, change)
