"""Where to kill a change: after each call that the world sees, once its journal is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import cycle

from tests.kernel.killer import killed_at
from tests.systemd.helpers import done

SEEN = {"linkat", "sendto", "write", "mkdir", "rmdir", "unlinkat"}
"""Calls that make the journal, tell another process, change a file of the kernel, or end the removal of a drop-in."""
ALL = os.environ.get("RCTL_KILLS") == "all"
AGAIN = ("daemon-reload", "", "daemon-reexec", "")
"""What systemd does between a kill and rctl's recovery, by turns."""


def moments(change: Callable[[], object], undo: Callable[[], object], *, family: bool = False) -> Iterator[int]:
    """The numbers of the calls before which to kill the change; with RCTL_KILLS=all, of each one from its journal on.

    The change is done once to find its calls, and undone. Before its journal it only reads: one kill is enough.
    """
    whole = killed_at(10**9, change, family=family)
    assert whole.status == 0, whole.said
    undo()
    begin = whole.calls.index("linkat") + 1
    for at in range(1, len(whole.calls) + 1):
        if at == begin or (at > begin and (ALL or whole.calls[at - 2] in SEEN)):
            yield at


def kills(
    change: Callable[[], object], undo: Callable[[], object], recover: Callable[[], object], *, family: bool = False
) -> Iterator[str]:
    """Kill the change at each of its moments, and recover; systemd is loaded or executed anew before, by turns.

    Yields which kill it was. Before the next one, the caller undoes what is done.
    """
    turns = cycle(AGAIN)
    for at in moments(change, undo, family=family):
        ended = killed_at(at, change, family=family)
        if again := next(turns):
            done("systemctl", again)
        recover()
        yield f"call {at}, {ended.calls[-1]}, then {again or 'nothing'}"
