"""Who lives where: processes of a VE, and cgroups that belong to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers.core import PROCS
from ..errors import GoneError, NotFoundError


def processes(cgroup: Cgroup) -> int:
    """How many processes live in the cgroup and below it. Raises GoneError."""
    count = own_processes(cgroup)
    for child in _children(cgroup):
        with suppress(GoneError):
            count += processes(child)
    return count


def own_processes(cgroup: Cgroup) -> int:
    """How many processes live in the cgroup itself. Raises GoneError."""
    return (cgroup.read_if_there(PROCS) or "").count("\n")


def foreign(tree: Tree) -> list[str]:
    """Paths of the cgroups with processes that are not rctl's, nor below one of rctl's, nor the root; sorted."""
    return sorted(_foreign(tree, tree.root))


def _foreign(tree: Tree, here: Cgroup) -> Iterator[str]:
    for child in _children(here):
        if not tree.name(child.path).startswith("/"):
            continue  # managed
        try:
            if own_processes(child):
                yield child.path
        except GoneError:
            continue
        yield from _foreign(tree, child)


def _children(cgroup: Cgroup) -> Iterator[Cgroup]:
    """Each child, open while it is looked at; one that goes meanwhile is left out."""
    for name in cgroup.children():
        try:
            child = cgroup.child(name)
        except (NotFoundError, GoneError):
            continue
        with child:
            yield child
