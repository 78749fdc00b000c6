"""Descriptors that hold a lock, and that a forked child must not keep: the lock would last as long as the child.

Locks of an open file description (flock(2), F_OFD_SETLK in fcntl(2)) are shared by all processes that inherit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_held: set[int] = set()
_hooked = False


def hold(fd: int) -> int:
    """Make every child that Python forks from now on close this descriptor. Returns it."""
    global _hooked
    if not _hooked:
        os.register_at_fork(after_in_child=_forget)
        _hooked = True
    _held.add(fd)
    return fd


def let_go(fd: int) -> None:
    """Close a descriptor that ``hold`` was called with; no effect in a child, where it is closed already."""
    if fd in _held:
        _held.discard(fd)
        os.close(fd)


def _forget() -> None:
    while _held:
        with suppress(OSError):
            os.close(_held.pop())


@contextmanager
def shared() -> Iterator[None]:
    """A child that is forked within the block keeps all descriptors, until it becomes another program or ends."""
    kept = set(_held)
    _held.clear()
    try:
        yield
    finally:
        _held.update(kept)
