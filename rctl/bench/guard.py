"""A benchmark that is killed by SIGKILL cannot clear up; a child of it that outlives it does so then."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from ..cgroupfs.tree import Tree, enabled
from ..controllers.core import SUBTREE_CONTROL
from ..errors import RctlError
from .place import controllers_back, own_name, removed


@contextmanager
def guarded(tree: Tree) -> Iterator[None]:
    """Have this process's VEs removed, and controllers disabled that it enabled, should it be killed meanwhile.

    Whatever else ends the block, the benchmark has cleared up itself by then.
    """
    with tree.walk(tree.base) as base:
        before = enabled(base, SUBTREE_CONTROL)
    name, parent = own_name(), os.pidfd_open(os.getpid())
    guard = os.fork()
    if not guard:
        _guard(tree, name, before, parent)
    os.close(parent)
    try:
        yield
    finally:
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)


def _guard(tree: Tree, name: str, before: frozenset[str], parent: int) -> NoReturn:
    try:
        _apart()
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        poll.poll()
        with suppress(RctlError, OSError):
            removed(tree, *(ve for ve in tree.names() if ve == name or ve.startswith(f"{name}-")))
            controllers_back(tree, before)
    finally:
        os._exit(0)


def _apart() -> None:
    """Out of reach of what ends the benchmark, and with nobody's pipes held open."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
