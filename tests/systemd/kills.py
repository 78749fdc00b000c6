"""Where to kill a change: after each call that the world sees, once its journal is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from tests.kernel.killer import killed_at

SEEN = {"linkat", "sendto", "write", "mkdir", "rmdir", "unlinkat"}
"""Calls that make the journal, tell another process, change a file of the kernel, or end the removal of a drop-in."""


def moments(change: Callable[[], None], undo: Callable[[], None], *, family: bool = False) -> Iterator[int]:
    """The numbers of the calls before which to kill the change; each with RCTL_KILLS=all.

    The change is done once to find its calls, and undone. Before its journal it only reads: one kill is enough.
    """
    whole = killed_at(10**9, change, family=family)
    assert whole.status == 0, whole.said
    undo()
    begin = whole.calls.index("linkat") + 1
    for at in range(1, len(whole.calls) + 1):
        after_seen = at > begin and whole.calls[at - 2] in SEEN
        if os.environ.get("RCTL_KILLS") == "all" or at == begin or after_seen:
            yield at
