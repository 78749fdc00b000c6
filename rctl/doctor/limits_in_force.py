"""Limits of rctl's VEs that are in force and that this host does not enforce: one check for each kind and reason."""

from __future__ import annotations

from collections.abc import Iterable

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import GoneError, KernelError, NotFoundError
from ..host import Host
from ..not_enforced import FILES, NotEnforced
from ..sample.in_force import conditions, not_enforced
from .check import Check

_NAMED = 3
_NAME = "limits in force"


def checks(tree: Tree, host: Host) -> list[Check]:
    """The checks of all VEs in rctl's place; each VE is open only while it is read."""
    return summed_up((name, one) for name in tree.names() for one in _of(tree, name, host))


def _of(tree: Tree, name: str, host: Host) -> list[NotEnforced]:
    try:
        with tree.open_ve(name) as ve:
            return not_enforced(ve.texts(sorted(_there(ve))), conditions(tree, ve, host))
    except (GoneError, NotFoundError, KernelError):  # removed meanwhile, or not for this user to read
        return []


def _there(ve: Cgroup) -> frozenset[str]:
    return FILES.intersection(ve.files())


def summed_up(found: Iterable[tuple[str, NotEnforced]]) -> list[Check]:
    """One check for each limit and reason, which names a few VEs. Pure."""
    groups: dict[tuple[str, str], list[tuple[str, NotEnforced]]] = {}
    for name, one in found:
        groups.setdefault((one.limit, one.reason), []).append((name, one))
    return [*map(_check, groups.values())] or [Check(_NAME, "ok", "this host enforces those of rctl's VEs")]


def _check(those: list[tuple[str, NotEnforced]]) -> Check:
    names = [*dict.fromkeys(name for name, _ in those)]
    of = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    first = those[0][1]
    why, _, remedy = first.why.partition(". ")
    who = "" if len(names) == 1 or first.of_host else f"{names[0]}: "
    return Check(_NAME, "warn", f"{first.limit} of {of}: not enforced: {who}{why}", remedy)
