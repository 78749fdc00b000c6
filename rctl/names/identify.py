"""The names of cgroups that are open: the owner from the tree, then the names of units, containers and pods.

For rctl's own VEs nothing more is loaded.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from .identity import Identity

if TYPE_CHECKING:
    from .identities import Identities


class Identify:
    """Names cgroups of one tree. Keeps what it has read of the files of container managers."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def _identities(self) -> Identities:
        from .identities import Identities

        return Identities(self._tree.has)

    def __call__(self, cgroup: Cgroup) -> Identity:
        """What people call this cgroup."""
        if name := self._tree.managed(cgroup.path):
            return Identity(name, "rctl")
        from ..cgroupfs.marks import reader
        from .container_cgroups import INNER
        from .owners import owner_of

        owner = owner_of(cgroup.path, reader(self._tree))
        is_containers = owner.container is not None and owner.container.path == cgroup.path
        return self._identities.of(owner, is_containers and cgroup.has(INNER))
