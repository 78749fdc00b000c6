"""Counts the processes of a VE, and finds cgroups of other managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.forest import Node
from ..cgroupfs.tree import Tree
from ..cgroupfs.walk import walk
from ..controllers.core import PROCS
from ..errors import OUT_OF, GoneError, KernelError, NotFoundError


def processes(cgroup: Cgroup) -> int:
    """The number of processes in the cgroup and below it. Raises GoneError."""
    count = own_processes(cgroup)
    for below in _below(cgroup, lambda _: True):
        with suppress(GoneError):
            count += own_processes(below)
    return count


def own_processes(cgroup: Cgroup) -> int:
    """The number of processes in the cgroup itself. Raises GoneError."""
    return (cgroup.read_if_there(PROCS) or "").count("\n")


def in_children(node: Node, known: Mapping[Node, int]) -> int:
    """The number of processes below a node. ``known``: counts of nodes that are known, with all below them.

    A cgroup that was removed meanwhile counts as empty. Raises KernelError if one cannot be read.
    """
    count, left = 0, list(node.children.values())
    while left:
        child = left.pop()
        if child in known:
            count += known[child]
            continue
        with suppress(GoneError):
            count += own_processes(child.cgroup)
        left += child.children.values()
    return count


def foreign(tree: Tree) -> Iterator[Cgroup]:
    """Cgroups with processes that are neither rctl's, nor below one of these, nor the root; open until the next."""
    for cgroup in _below(tree.root, lambda path: not tree.managed(path)):
        with suppress(GoneError):
            if own_processes(cgroup):
                yield cgroup


def _below(top: Cgroup, wanted: Callable[[str], bool]) -> Iterator[Cgroup]:
    """Each cgroup below ``top``, open until the next, except those whose path is not ``wanted``.

    A cgroup that was removed meanwhile, or that the caller may not read, is left out. Raises KernelError if the host
    fails for another reason than permission.
    """

    def enter(here: Cgroup, name: str) -> Cgroup | None:
        return _inside(here, name) if wanted(f"{here.path.rstrip('/')}/{name}") else None

    for cgroup, down in walk(top, enter, _names):
        if down and cgroup is not top:
            yield cgroup


def _inside(here: Cgroup, name: str) -> Cgroup | None:
    try:
        cgroup = here.child(name)
    except (NotFoundError, GoneError):
        return None
    except KernelError as error:
        _raise_if_out_of(error)
        return None
    if cgroup.has(PROCS):
        return cgroup
    cgroup.close()
    return None


def _names(cgroup: Cgroup) -> list[str]:
    try:
        return cgroup.children()
    except GoneError:
        return []
    except KernelError as error:
        _raise_if_out_of(error)
        return []


def _raise_if_out_of(error: KernelError) -> None:
    """Raise an error of exhausted resources: with too few descriptors, for example, a count would be wrong."""
    if error.errno in OUT_OF:
        raise error
