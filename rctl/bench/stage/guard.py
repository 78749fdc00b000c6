"""Removes the VEs of a benchmark that SIGKILL ended: a child process outlives it and does so."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from ...adjust.lifecycle import ve_cgroup
from ...cgroupfs.tree import Tree, enabled
from ...controllers.core import SUBTREE_CONTROL
from ...errors import RctlError
from ...signals import undisturbed
from .place import controllers_back, own_name, removed

_STILL, _PAUSE = 5.0, 0.2
"""Seconds without a new VE before the end, because a command that the benchmark started may still run."""
_MOST = 300.0
"""Seconds in which a VE that cannot be removed is tried again."""


@contextmanager
def guarded(tree: Tree) -> Iterator[None]:
    """No VE that this process makes outlives the block, and no controller that it enables, even after SIGKILL.

    VEs that existed before are left alone, whatever their names.
    """
    name = own_name()
    there = set(tree.names())
    with tree.walk(tree.base) as base:
        before = enabled(base, SUBTREE_CONTROL)

    def is_own(ve: str) -> bool:
        return ve == name or ve.startswith(f"{name}-")

    def clear() -> bool:
        """Remove what is left. Returns True if there was anything."""
        own = [ve for ve in tree.names() if is_own(ve) and ve not in there]
        removed(tree, *own)
        left = ve_cgroup.stop_without_cgroup(tree, is_own)
        controllers_back(tree, before)
        return bool(own or left)

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
    """Wait for the end of the parent, then clear up. Signals stay blocked here."""
    try:
        _apart(keep)
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        poll.poll()
        begin = seen = time.monotonic()
        while (now := time.monotonic()) < min(seen + _STILL, begin + _MOST):
            try:
                seen = now if clear() else seen
            except (RctlError, OSError):  # its processes take long to end, or systemd does
                seen = now
            time.sleep(_PAUSE)
    finally:
        os._exit(0)


def _apart(keep: set[int]) -> None:
    """Leave the process group, and close the pipes and locks of others."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with suppress(OSError):  # the descriptor of the list itself
                os.close(int(name))
