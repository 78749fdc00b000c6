"""All cgroups of a tree. They are held open as far as descriptors allow, and kept up to date by reports of changes.

``refresh`` reads the reports (``watch``) and looks only at what changed. A cgroup that cannot be watched is looked at
each time. A reader of limits or lists of files compares the node's counts with those of its last look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from ..controllers.core import FREEZE, SUBTREE_CONTROL
from ..errors import GoneError, KernelError, NotAvailableError, NotFoundError
from .cgroup import Cgroup
from .handle import Handle
from .open_files import Budget
from .watch import LostError, Watch

_SWITCHES = ("cgroup.pressure", "cgroup.type")  # the set of files depends on their values
_EVENTS = (".events", ".events.local")
_NO_LIMITS = (".local", ".pressure", ".reclaim", ".peak", ".current", ".stat")


class Unread(NamedTuple):
    """A cgroup, by its path, with something that exists and could not be read; and the cause."""

    path: str
    error: KernelError


class Node:
    """One cgroup. ``files`` counts changes of its set of files, ``limits`` counts changes of their values.

    ``events`` counts the kernel's reports about counts of events and states (``changed_counts``); there are none if
    ``watch`` is unset. ``leaf``: there is no cgroup below.
    """

    __slots__ = ("_names", "_names_at", "cgroup", "children", "events", "files", "leaf", "limits", "parent", "watch")

    def __init__(self, cgroup: Cgroup, parent: Node | None) -> None:
        self.cgroup = cgroup
        self.parent = parent
        self.children: dict[str, Node] = {}
        self.files = self.limits = self.events = 0
        self._names: tuple[str, ...] = ()
        self._names_at = -1
        self.leaf = True
        self.watch: int | None = None
        cgroup.know(os.fstat(cgroup.fd))

    def names(self) -> tuple[str, ...]:
        """Names of its files, listed again if they may have changed. Raises GoneError, KernelError."""
        if self._names_at != self.files:
            self._names = _shared(tuple(self.cgroup.files()))
            self._names_at = self.files
        return self._names

    def below(self) -> Iterator[Node]:
        """The node and all nodes below, parents first, by name."""
        left = [self]
        while left:
            node = left.pop()
            yield node
            left += [node.children[name] for name in sorted(node.children, reverse=True)]

    def way_up(self) -> Iterator[Node]:
        """The node, its parent, and so on to the root."""
        node: Node | None = self
        while node:
            yield node
            node = node.parent


@lru_cache(64)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for the same names, because most cgroups have the same files."""
    return names


class Forest:
    """The cgroups from a root down. ``close()`` it.

    ``generation`` changes if a cgroup came or went, ``files`` if one has other files, ``limits`` if any limit may have
    changed, ``cpusets`` if a list of CPUs may have changed, which affects other cgroups, too. ``size``: the number of
    cgroups. ``failed``: those that could not be opened or listed at the last refresh; the next one tries again.
    """

    def __init__(
        self, root: Cgroup, enter: Callable[[str], bool], watch: Watch | None, budget: Budget | None = None
    ) -> None:
        """``root`` stays open for the caller. ``enter``: returns True to look below the cgroup of a path.

        ``budget``: of open directories; unset, a new one. Cgroups beyond it are opened for each use.
        """
        self._enter = enter
        self._budget = budget or Budget()
        self.failed: list[Unread] = []
        self._watch = watch
        self._by_watch: dict[int, Node] = {}
        self._again: set[Node] = set()
        self.generation = self.files = self.limits = self.cpusets = self.size = 0
        self.root = Node(root, None)
        self._follow(self.root)
        self._look(self.root)

    def refresh(self) -> None:
        """Read the reports, and update the cgroups that changed since the last refresh."""
        self.failed = []
        stale, self._again = self._again, set()
        try:
            stale |= self._changed()
        except LostError:
            return self._look_everywhere()
        if len(self._by_watch) < self.size:
            for node in [node for node in self.root.below() if node.watch is None]:
                self._touch(node)
                stale.add(node)
        for node in stale:
            if not node.cgroup.closed:
                self._look(node)
        return None

    def close(self) -> None:
        """Close every cgroup except the root's own handle."""
        for node in list(self.root.children.values()):
            self._forget(node)
        self.root.children.clear()
        if self._watch:
            self._watch.close()

    def _changed(self) -> set[Node]:
        """The nodes with new or removed children, from the kernel's reports. Raises LostError if some were lost."""
        if self._watch is None:
            raise LostError
        stale = set()
        for change in self._watch.changes():
            node = self._by_watch.get(change.watch)
            if node and change.cgroup:
                stale.add(node)
            elif node:
                self._written(node, change.name)
        return stale

    def _written(self, node: Node, name: str) -> None:
        """Note a write to a file, or a change of a count in it."""
        if name.endswith(_EVENTS):
            node.events += 1
        elif name == SUBTREE_CONTROL:
            for child in node.children.values():
                self._touch(child)
        elif name in _SWITCHES:
            self._touch(node)
        elif name.startswith("cpuset."):
            self.cpusets += 1
            self._touch(node)
        elif name == FREEZE.name or (not name.startswith("cgroup.") and not name.endswith(_NO_LIMITS)):
            node.limits += 1
            self.limits += 1

    def _touch(self, node: Node) -> None:
        node.files += 1
        self.files += 1
        node.limits += 1
        self.limits += 1

    def _look_everywhere(self) -> None:
        self.cpusets += 1
        for node in list(self.root.below()):
            self._touch(node)
        self._look(self.root, deep=True)

    def _look(self, top: Node, deep: bool = False) -> None:
        """Find the cgroups directly below, and all below those that are new; ``deep``: also below known ones."""
        left = [top]  # no recursion: a user with a cgroup may nest cgroups thousands deep
        while left:
            node = left.pop()
            new = self._look_below(node)
            left += node.children.values() if deep else new

    def _look_below(self, node: Node) -> list[Node]:
        """Find the cgroups directly below. Returns the new ones."""
        try:
            node.leaf = node.cgroup.is_leaf()
            found = node.cgroup.inodes() if not node.leaf and self._enter(node.cgroup.path) else {}
        except GoneError:
            found = {}
        except KernelError as error:  # for example too many open files: keep the known ones
            self._failed_at(node, error)
            return []
        for name, child in list(node.children.items()):
            if found.get(name) != child.cgroup.ino:
                self._forget(node.children.pop(name))
        return [new for name in found.keys() - node.children.keys() if (new := self._add(node, name))]

    def _add(self, node: Node, name: str) -> Node | None:
        try:
            child = node.children[name] = self._opened(node, name)
        except (
            NotFoundError,
            GoneError,
            NotAvailableError,
        ):  # the last: another file system is mounted over it
            return None
        except KernelError as error:
            self._failed_at(node, error)
            return None
        self.generation += 1
        self._follow(child)
        return child

    def _opened(self, node: Node, name: str) -> Node:
        handle = Handle(node.cgroup.child(name), node.cgroup, self._budget)
        try:
            return Node(handle, node)
        except BaseException:
            handle.close()
            raise

    def _failed_at(self, node: Node, error: KernelError) -> None:
        self.failed.append(Unread(error.path, error))
        self._again.add(node)

    def _follow(self, node: Node) -> None:
        self.size += 1
        node.watch = self._watch.add(node.cgroup.fd) if self._watch else None
        if node.watch is not None:
            self._by_watch[node.watch] = node

    def _forget(self, top: Node) -> None:
        for node in list(top.below()):
            node.children.clear()
            self.generation += 1
            self.size -= 1
            if node.watch is not None and self._watch:
                self._by_watch.pop(node.watch, None)
                self._watch.remove(node.watch)
            node.cgroup.close()
