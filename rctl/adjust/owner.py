"""systemd's single-writer rule: a cgroup has one manager. https://systemd.io/CGROUP_DELEGATION/

On a host that systemd runs, rctl writes only below a delegated unit. A unit's own limits belong to systemd, which puts
its values back at the next daemon-reload.
"""

from __future__ import annotations

import os
from functools import cache

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import NotAvailableError

BOOTED = "/run/systemd/system"  # sd_booted(3)
_MARKS = ("trusted.delegate", "user.delegate")


def applies() -> bool:
    """Whether systemd runs this host."""
    return _there(BOOTED)


@cache
def _there(folder: str) -> bool:
    """What systemd made before it started anything; so it is asked for once."""
    return os.access(folder, os.F_OK)


def check_if_applies(tree: Tree, path: str) -> None:
    """As ``check``, on a host where the rule applies."""
    if applies():
        check(tree, path)


def check(tree: Tree, path: str) -> None:
    """Raises NotAvailableError when the cgroup is systemd's to manage, on a host where the rule applies."""
    if given_away(tree, path.rpartition("/")[0]):
        return
    unit = path.rpartition("/")[2]
    if unit.endswith((".service", ".scope", ".slice")):
        raise NotAvailableError(
            f"{path}: belongs to systemd, which would undo the change. Use: systemctl set-property {unit} NAME=VALUE"
        )
    raise NotAvailableError(
        f"{path}: lies outside any delegated unit on a host that systemd runs. "
        "Set RCTL_TREE to a cgroup below a unit with Delegate=yes; see rctl doctor"
    )


def given_away(tree: Tree, path: str) -> bool:
    """Whether the cgroup is a delegated unit or lies below one."""
    return any(here.path != "/" and delegated(here) for here in tree.way(path))


def delegated(cgroup: Cgroup) -> bool:
    """Whether systemd has marked the cgroup as delegated."""
    for mark in _MARKS:
        try:
            if os.getxattr(cgroup.fd, mark) == b"1":
                return True
        except OSError:
            continue
    return False
