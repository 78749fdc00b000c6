"""systemd's single-writer rule: a cgroup has one manager. https://systemd.io/CGROUP_DELEGATION/

On a host with systemd, rctl writes only below a delegated unit. A unit's own limits belong to systemd, which sets them
again at the next daemon-reload. The units of rctl's own VEs are delegated: rctl moves processes there, and sets labels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from ..cgroupfs import marks, ve_cgroups
from ..cgroupfs.tree import Tree
from ..errors import NotAvailableError
from ..formats import Write

if TYPE_CHECKING:
    from ..names.owners import Owner


HANDED_DOWN = frozenset(("cpu", "cpuset", "io", "memory", "pids"))
"""The controllers that systemd enables where a unit needs them. It leaves all others alone."""
TO_USERS = (
    "As root, put [Service] and Delegate=cpu cpuset io memory pids, in two lines, in "
    "/etc/systemd/system/user@.service.d/delegate.conf, and run: systemctl daemon-reload. Then, as the user: "
    "systemctl --user daemon-reexec"
)
"""How a user's units get all controllers that systemd hands down."""
PODS = "kubepods"
"""The path of each cgroup of kubelet has this word."""
SHORT = 64
"""The path of a container's cgroup has more characters: its id alone has as many."""


def applies() -> bool:
    """True if systemd runs this host."""
    return _there(ve_cgroups.BOOTED)


@cache
def _there(folder: str) -> bool:
    """True if the folder exists. systemd makes it before it starts anything, so one check is enough."""
    return os.access(folder, os.F_OK)


def check_if_applies(tree: Tree, path: str) -> None:
    """As ``check``, if systemd runs this host."""
    if applies():
        check(tree, path)


def check(tree: Tree, path: str) -> None:
    """Raise NotAvailableError if a systemd manages the cgroup: the system's, a user's, or another one.

    The unit of one of rctl's own VEs passes: only its limits are set by systemd.
    """
    found = _owner(tree, path)
    if found.free or ve_cgroups.is_unit(path):
        return
    if found.is_unit:
        user = f" --user --machine={found.manager.uid}@" if found.manager.kind == "user" else ""
        raise NotAvailableError(
            f"{path}: belongs to systemd, which would undo the change. Use: "
            f"systemctl{user} set-property {found.unit} NAME=VALUE"
        )
    if tree.managed(path):
        remedy = "Unset RCTL_TREE, or set it to a cgroup below a unit with Delegate=yes"
    else:
        remedy = "Name a unit, such as system.slice or user:NAME, or a cgroup below a unit with Delegate=yes"
    raise NotAvailableError(f"{path}: lies outside any delegated unit on a host that systemd runs. {remedy}")


def check_pod(tree: Tree, path: str, writes: Iterable[Write]) -> None:
    """Raise NotAvailableError with kubectl's command if kubelet sets these entries of the cgroup."""
    if PODS in path:
        from ..names.kubernetes import check

        check(tree, path, writes)


def delegated_root(tree: Tree, path: str) -> str:
    """The delegated unit below which the cgroup lies, and where rctl may enable controllers; empty: none."""
    found = _owner(tree, path)
    return found.delegated if found.free else ""


def given_away(tree: Tree, path: str) -> bool:
    """True if the cgroup is a delegated unit or lies below one, and no other systemd manages it."""
    found = _owner(tree, path)
    return found.free or (found.delegated == path and found.manager.kind != "other")


def service_of(tree: Tree, path: str) -> str:
    """The service whose cgroup it is, which systemd ends with its processes; empty: none, or a VE of rctl's own."""
    if not applies() or ve_cgroups.is_unit(path):
        return ""
    found = _owner(tree, path)
    return found.unit if found.is_unit and found.unit.endswith(".service") else ""


def _owner(tree: Tree, path: str) -> Owner:
    from ..names.owners import owner_of

    return owner_of(path, marks.reader(tree))
