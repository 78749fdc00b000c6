"""A benchmark that is killed by SIGKILL cannot clear up; a child of it that outlives it does so then."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from ...cgroupfs.tree import Tree, enabled
from ...controllers.core import SUBTREE_CONTROL
from ...errors import RctlError
from ...signals import undisturbed
from .place import controllers_back, own_name, removed

_STILL, _PAUSE = 5.0, 0.2
"""Seconds for which nothing may have come any more, for a command that the benchmark had started may be under way."""


@contextmanager
def guarded(tree: Tree) -> Iterator[None]:
    """No VE of this process's outlives the block, and no controller that it enabled, even when it is killed meanwhile.

    VEs that were there before are left alone, whatever their names.
    """
    name = own_name()
    there = set(tree.names())
    with tree.walk(tree.base) as base:
        before = enabled(base, SUBTREE_CONTROL)

    def clear() -> bool:
        """Whether there was anything to clear up."""
        own = [ve for ve in tree.names() if (ve == name or ve.startswith(f"{name}-")) and ve not in there]
        removed(tree, *own)
        controllers_back(tree, before)
        return bool(own)

    with undisturbed():
        parent = os.pidfd_open(os.getpid())
        guard = os.fork()
        if not guard:
            _guard(clear, parent, keep={parent, tree.root.fd})
        os.close(parent)
    try:
        yield
    finally:
        with undisturbed():
            try:
                clear()
            finally:
                os.kill(guard, signal.SIGKILL)
                os.waitpid(guard, 0)


def _guard(clear: Callable[[], bool], parent: int, keep: set[int]) -> NoReturn:
    """Wait for the parent's end and clear up. Signals stay blocked here."""
    try:
        _apart(keep)
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        poll.poll()
        still = time.monotonic() + _STILL
        while time.monotonic() < still:
            with suppress(RctlError, OSError):
                if clear():
                    still = time.monotonic() + _STILL
            time.sleep(_PAUSE)
    finally:
        os._exit(0)


def _apart(keep: set[int]) -> None:
    """Out of reach of what ends the benchmark, and with nobody's pipes and locks held."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with suppress(OSError):  # the list's own
                os.close(int(name))
