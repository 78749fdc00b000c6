"""Bare VEs: a cgroup and limits, no root file system. Make them, and set their limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ..adjust.account import Account
from ..adjust.before_and_after import check_empty, make_below
from ..adjust.engine import Options, adjust
from ..adjust.lifecycle import processes
from ..adjust.lifecycle.remove import take_away
from ..adjust.request import Around
from ..adjust.site import Site
from ..adjust.steps import Make, Remove
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import BusyError, GoneError, NotFoundError, UsageError
from ..formats import NAMING, VE_NAME, as_typed
from ..limits import Limits


def exists(tree: Tree, name: str) -> bool:
    """Whether there is such a VE. Raises UsageError for what is no name."""
    try:
        tree.open_ve(name).close()
    except NotFoundError:
        return False
    return True


def make(tree: Tree, name: str) -> Cgroup:
    """Make an empty managed VE and open it. One system call, which needs no journal.

    Raises UsageError for a foreign name, BusyError when it exists, NotAvailableError when the caller may not.
    """
    path = managed_path(tree, name)
    with tree.walk(path.rpartition("/")[0] or "/") as base:
        return make_below(tree, name, base)


def managed_path(tree: Tree, name: str) -> str:
    """The path of a managed VE. Raises UsageError for a foreign one, which is not rctl's to make or remove."""
    if VE_NAME.fullmatch(name) or name.startswith("/"):
        path = tree.path(name)
        if tree.name(path) != path:
            return path
        raise UsageError(f"{name}: not a VE of rctl's own. Give a plain name, such as web1")
    raise UsageError(f"{as_typed(name)}: not a name for a VE of rctl's own, such as web1. {NAMING}")


@contextmanager
def made_for(tree: Tree, names: Iterable[str]) -> Iterator[list[str]]:
    """Make the VEs that do not exist yet, and remove them again when what is done with them fails.

    One that has processes then, which somebody else put there, stays.
    """
    made: list[str] = []
    try:
        for name in names:
            if not exists(tree, name):
                make(tree, name).close()
                made.append(name)
        yield made
    except BaseException:
        for name in made:
            with suppress(BusyError, NotFoundError, GoneError):
                remove(tree, name)
        raise


def apply(site: Site, limits: Mapping[str, Limits], options: Options, **around: Any) -> tuple[list[str], Account]:
    """Make the managed VEs that are missing and set the limits of all, as one transaction.

    ``around``: what else is done in it, see ``Around``. Returns the names made and the account.
    """
    tree = site.tree
    names = [name for name in limits if tree.name(tree.path(name)) != tree.path(name)]
    account = adjust(tree, limits, site.host, options, site.progress, site.state, around=Around(make=names, **around))
    return [o.name for o in account.outcomes if any(isinstance(step, Make) for step in o.steps)], account


def remove(tree: Tree, name: str, kill: bool = False, seconds: float = 10.0) -> int:
    """Remove one managed VE and the cgroups below it, for who made it itself: no journal, no history.

    ``kill``: end its processes first. Returns how many were killed. Raises NotFoundError; BusyError while it holds
    processes and ``kill`` is not given, or they outlive ``seconds``.
    """
    managed_path(tree, name)
    with tree.open_ve(name) as ve:
        inside = processes.processes(ve)
        if not kill:
            check_empty(name, inside)
        take_away(ve, Remove(ve.path, kill), seconds)
    return len(inside)
