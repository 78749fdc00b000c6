"""Watches on the cgroups with desired limits, and on those on the way to them, where they may be made anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from ..cgroupfs.tree import Tree
from ..cgroupfs.watch import Watch
from ..errors import GoneError, NotAvailableError, NotFoundError


class Report(NamedTuple):
    """``path``: of a cgroup. ``file``: that was written; empty: the cgroup was made or removed."""

    path: str
    file: str = ""


class Watched:
    """The watches, by path. ``unwatched``: paths for which the user has no watch left."""

    def __init__(self, tree: Tree, watch: Watch) -> None:
        self._tree, self._watch = tree, watch
        self._by_path: dict[str, int] = {}
        self._paths: dict[int, str] = {}
        self.unwatched: set[str] = set()

    def follow(self, path: str) -> None:
        """Watch a cgroup, and each one above it. Of one that is not there, those above it that are."""
        places = [path[:at] for at, letter in enumerate(path) if letter == "/" and at] + [path]
        for place in dict.fromkeys(["/", *places]):
            if place not in self._by_path and not self._add(place):
                return

    def begin_again(self) -> None:
        """Forget all paths: reports were lost, so a watch may be of a cgroup that was removed."""
        self._by_path.clear()
        self._paths.clear()

    def reports(self) -> Iterator[Report]:
        """The changes since the last call. Raises LostError if some were lost."""
        for change in self._watch.changes():
            above = self._paths.get(change.watch)
            if above is None:
                continue
            if change.cgroup:
                path = f"{above.rstrip('/')}/{change.name}"
                self._forget(path)
                yield Report(path)
            else:
                yield Report(above, change.name)

    def _add(self, path: str) -> bool:
        """Watch one cgroup; False if it is not there."""
        with suppress(NotFoundError, GoneError, NotAvailableError), self._tree.walk(path) as cgroup:
            number = self._watch.add(cgroup.fd)
            if number is None:
                self.unwatched.add(path)
                return cgroup.alive()
            self._by_path[path] = number
            self._paths[number] = path
            return True
        return False

    def _forget(self, path: str) -> None:
        """The cgroup was made or removed, so watches of those with this path, and below it, are gone."""
        if path in self._by_path:
            for gone in [other for other in self._by_path if other == path or other.startswith(path + "/")]:
                self._paths.pop(self._by_path.pop(gone), None)
