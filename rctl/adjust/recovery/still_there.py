"""The cgroups of a record that still exist, a few of them open at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import GoneError, NotFoundError

_MOST = 8
"""Most cgroups open at once, with their limits' files, so that recovery needs no more than the usual limit."""


class Present(Mapping[str, Cgroup]):
    """Cgroups by path, opened on demand. Use as a context manager.

    A look-up raises GoneError for a removed cgroup, and for a name that another cgroup has now.
    """

    def __init__(self, tree: Tree, inodes: Mapping[str, int]) -> None:
        """``inodes``: by path, of the cgroups that are meant."""
        self._tree, self._inodes = tree, inodes
        self._open: dict[str, Cgroup] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def __getitem__(self, path: str) -> Cgroup:
        found = self._open.get(path)
        if found is None:
            ino = self._inodes[path]
            while len(self._open) >= _MOST:
                self._open.pop(next(iter(self._open))).close()
            found = self._walked(path, ino)
            self._open[path] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._inodes)

    def __len__(self) -> int:
        return len(self._inodes)

    def _walked(self, path: str, ino: int) -> Cgroup:
        try:
            cgroup = self._tree.walk(path)
        except NotFoundError:
            raise GoneError(f"{path}: was removed since. Nothing to put back there") from None
        if cgroup.ino == ino:
            return cgroup
        cgroup.close()
        raise GoneError(f"{path}: is now another cgroup of the same name. There is nothing to put back")
