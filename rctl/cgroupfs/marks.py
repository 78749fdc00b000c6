"""The marks of delegation: extended attributes that systemd puts on the cgroup of a unit with ``Delegate=``.

``user.delegate`` came with systemd 251; only privileged users may read ``trusted.delegate``.
https://systemd.io/CGROUP_DELEGATION/
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ..errors import RctlError
from .cgroup import Cgroup
from .tree import Tree
from .ve_cgroups import is_unit

_MARKS = ("trusted.delegate", "user.delegate")


def delegated(cgroup: Cgroup) -> bool:
    """True if systemd has marked the cgroup as delegated."""
    for mark in _MARKS:
        try:
            if os.getxattr(cgroup.fd, mark) == b"1":
                return True
        except OSError:
            continue
    return False


def reader(tree: Tree) -> Callable[[str], bool]:
    """A function that says whether the cgroup with a path is marked. False for a cgroup that cannot be opened.

    The unit of one of rctl's own VEs is delegated: not every manager of a user leaves a mark.
    """

    def marked(path: str) -> bool:
        if is_unit(path):
            return True
        try:
            with tree.walk(path) as cgroup:
                return delegated(cgroup)
        except RctlError:
            return False

    return marked
