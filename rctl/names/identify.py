"""The names of cgroups by path: the owner from the tree, then the names of units, containers and pods.

For rctl's own VEs nothing more is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from ..cgroupfs.tree import Tree
from .identity import Identity

if TYPE_CHECKING:
    from .identities import Identities


class Identify:
    """Names cgroups of one tree. Keeps what it has read of the files of container managers."""

    def __init__(self, tree: Tree, identities: Identities | None = None) -> None:
        """``identities``: unset, those of this host."""
        self._tree = tree
        self._given = identities

    @cached_property
    def _identities(self) -> Identities:
        return self._given or _identities(self._tree)

    def __call__(self, path: str) -> Identity:
        """What people call the cgroup with this path."""
        if name := self._tree.managed(path):
            return Identity(name, "rctl", path.rpartition("/")[2] if self._tree.naming.suffix else "")
        from ..cgroupfs.marks import reader
        from .container_cgroups import INNER
        from .owners import owner_of

        marked = reader(self._tree)
        owner = owner_of(path, lambda unit: unit != path and marked(unit))  # its own mark changes no name and no kind
        inner = owner.container is not None and owner.container.path == path and self._tree.exists(f"{path}/{INNER}")
        return self._identities.of(owner, inner)


def learn(tree: Tree, paths: Iterable[str]) -> None:
    """From now on, the tree shows these cgroups by their names, as if people had typed them."""
    identify = Identify(tree)
    for path in paths:
        if not tree.managed(path) and (name := identify(path).name) not in ("", path):
            tree.learn(name, name, path)


def _identities(tree: Tree) -> Identities:
    from .identities import Identities

    return Identities(tree.has)
