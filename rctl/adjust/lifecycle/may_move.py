"""Checks that a process may be moved into a VE: the kernel asks for rights at the nearest cgroup above both places.

The caller must be allowed to write ``cgroup.procs`` there, too (cgroups(7), "Cgroups delegation: delegation
containment"). clone3(2) with CLONE_INTO_CGROUP needs the same right, so it is no way around. A user's login session and
a user's own delegated unit only meet in cgroups of root.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ...cgroupfs.tree import Tree
from ...controllers.core import PROCS
from ...errors import READ_ONLY, NotAvailableError, NotFoundError
from .. import owner
from . import ve_cgroup


def check(tree: Tree, pid: int | str, path: str) -> None:
    """Raise NotAvailableError if the caller may not move the process (``self``: its own) to the cgroup ``path``.

    A missing process, and a cgroup that does not exist and may not be made, are reported elsewhere.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        who = "this process" if pid == "self" else f"process {pid}"
        home = tree.cgroup_of(pid)
        if home is None:
            return _check_namespace(tree, who)
        if not _may_be_made(tree, path):
            return None
        common = os.path.commonpath((home, path))
        with tree.walk(common) as above:
            if above.may_write(PROCS) or _systemd_may(pid, path):
                return None
        if "ro" in tree.mount.options:
            raise NotAvailableError(f"{path}: {who} may not be moved there: {READ_ONLY}")
        raise NotAvailableError(
            f"{path}: {who} may not be moved there from {home}: that needs write access to cgroup.procs of {common}, "
            f"which is above both. {_remedy(tree)}"
        )
    return None


def _systemd_may(pid: int | str, path: str) -> bool:
    """True if the caller's own systemd moves the process: the VE is a unit of it, and the process is the caller's."""
    unit = ve_cgroup.unit_of(path)
    uid = os.geteuid()
    return unit is not None and unit.uid == uid and (pid == "self" or os.stat(f"/proc/{pid}").st_uid == uid)


def may_return(tree: Tree, home: str, path: str) -> bool:
    """True if the caller may move a process back from ``path`` to the cgroup ``home``."""
    unit = ve_cgroup.unit_of(path)
    if unit is None or unit.uid is None:
        return True  # it may move it here, and the way back needs the same right
    with tree.walk(os.path.commonpath((home, path))) as above:
        return above.may_write(PROCS)


def _may_be_made(tree: Tree, path: str) -> bool:
    """True if the cgroup exists, or the caller may make it."""
    with suppress(NotFoundError), tree.walk(path):
        return True
    with suppress(NotFoundError), tree.walk(path.rpartition("/")[0]) as parent:
        return parent.may_write(".")
    return False


def _check_namespace(tree: Tree, who: str) -> None:
    if "nsdelegate" in tree.mount.options:
        raise NotAvailableError(
            f"{who}: is in a cgroup outside this mount or cgroup namespace, and cgroup2 is mounted with nsdelegate, so "
            "it may not be moved across. Run rctl outside the container"
        )


def _remedy(tree: Tree) -> str:
    if owner.applies():
        return "Start your shell in your own part of the tree: systemd-run --user --scope -p Delegate=yes bash"
    return f"Run as root, or have root start your shell in a cgroup below {tree.base}"
