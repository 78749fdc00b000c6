"""Makes bare VEs (a cgroup and limits, no root file system), and sets their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..adjust import owner
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
from ..errors import NotFoundError, UsageError
from ..formats import NAMING, VE_NAME, as_typed
from ..limits import Limits


def exists(tree: Tree, name: str) -> bool:
    """True if the VE exists. Raises UsageError for a wrong name."""
    try:
        tree.open_ve(name).close()
    except NotFoundError:
        return False
    return True


def make(tree: Tree, name: str) -> Cgroup:
    """Make an empty managed VE and open it. It is one system call, which needs no journal.

    Raises UsageError for a foreign name, BusyError if it exists, NotAvailableError if the caller may not make it.
    """
    path = managed_path(tree, name)
    with tree.walk(path.rpartition("/")[0] or "/") as base:
        return make_below(tree, name, base)


def managed_path(tree: Tree, name: str) -> str:
    """The path of a managed VE. Raises UsageError for a foreign one: rctl does not make or remove these."""
    if VE_NAME.fullmatch(name) or name.startswith("/"):
        path = tree.path(name)
        if tree.managed(path):
            return path
        raise UsageError(f"{name}: not one of rctl's own VEs. Give a plain name, such as web1")
    raise UsageError(f"{as_typed(name)}: not a name for one of rctl's own VEs, such as web1. {NAMING}")


def apply(site: Site, limits: Mapping[str, Limits], options: Options, **around: Any) -> tuple[list[str], Account]:
    """Make the missing managed VEs and set the limits of all, as one transaction.

    ``around``: further steps of the transaction, see ``Around``. Returns the names of the new VEs, and the account.
    """
    tree = site.tree
    names = [name for name in limits if tree.managed(tree.path(name))]
    tell_of_units(site, names)
    account = adjust(site, limits, options, around=Around(make=names, **around))
    return [o.name for o in account.outcomes if any(isinstance(step, Make) for step in o.steps)], account


def tell_of_units(site: Site, names: Iterable[str]) -> None:
    """Say which names of VEs that are to be made stood for a unit up to now."""
    for name in names if owner.applies() else ():
        if (unit := _unit_of_the_name(site.tree, name)) and not exists(site.tree, name):
            site.tell(f"{name}: is the name of the new VE from now on; for the unit, write unit:{unit}")


def _unit_of_the_name(tree: Tree, name: str) -> str:
    """The unit of the system that ``name`` would stand for if no VE had it; empty if there is none."""
    return next((unit for unit in (name, f"{name}.service") if tree.exists(f"/system.slice/{unit}")), "")


def remove(tree: Tree, name: str, kill: bool = False, seconds: float = 10.0) -> int:
    """Remove a managed VE that the caller made, and the cgroups below it, without journal and history.

    ``kill``: end its processes first. Returns the number of killed processes. Raises NotFoundError; BusyError if it has
    processes and ``kill`` is not set, or if they outlive ``seconds``.
    """
    managed_path(tree, name)
    with tree.open_ve(name) as ve:
        inside = processes.processes(ve)
        if not kill:
            check_empty(name, inside)
        take_away(ve, Remove(ve.path, kill), seconds)
    return len(inside)
