"""The label ``ve`` of each VE, and the labels of its info metric: found once in the life of a cgroup."""

from __future__ import annotations

from collections.abc import Mapping

from rctl.cgroupfs.tree import Tree
from rctl.names.identify import Identify
from rctl.names.identities import Identities

from .owner import info

_FEW = 64


class VeNames:
    """Names the VEs of one tree. No two that exist at the same time have the same name: the later one has its path."""

    def __init__(self, tree: Tree, identities: Identities | None = None) -> None:
        """``identities``: unset, those of this host."""
        self._tree = tree
        self._identify = Identify(tree, identities)
        self._holders: dict[str, str] = {}
        self._most = _FEW

    def name(self, path: str) -> tuple[str, Mapping[str, str]]:
        """The name of the VE at a cgroup path, and its other labels."""
        identity = self._identify(path)
        name = identity.name
        holder = self._holders.get(name, path)
        if holder != path and self._tree.exists(holder):
            name = path
        elif name != path:
            self._hold(name, path)
        return name, info(identity, path)

    def _hold(self, name: str, path: str) -> None:
        self._holders[name] = path
        if len(self._holders) > self._most:
            self._holders = {name: path for name, path in self._holders.items() if self._tree.exists(path)}
            self._most = 2 * len(self._holders) + _FEW
