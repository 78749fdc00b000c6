"""The names of containers, for limits that are to outlive a container: the next one of this name has another path."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property

from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotAvailableError, NotFoundError, UsageError
from .identify import Identify

_KINDS = ("docker:", "podman:")
_ID = re.compile(r"[0-9a-f]{64}")


class ContainerNames:
    """The stable names of the cgroups of docker's and podman's containers."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def _identify(self) -> Identify:
        return Identify(self._tree)

    def __call__(self, path: str) -> str:
        """``docker:web``, ``podman:bob/db`` for the path of a container's cgroup.

        Empty for any other path, and for a container without a known name.
        """
        if not _ID.search(path):
            return ""
        found = self._identify(path)
        known = found.container and found.container not in path  # else it is the beginning of the id
        return found.name if known and found.name.startswith(_KINDS) else ""

    def path(self, name: str) -> str | None:
        """The present cgroup of the container with this stable name; ``None`` if there is none.

        Not of one for which people may use the same word: a user's own container, or one whose id begins like this.
        """
        from .patterns import one

        with suppress(NotFoundError, UsageError, GoneError, NotAvailableError):
            path = self._tree.path(one(self._tree, name))
            return path if ContainerNames(self._tree)(path) == name else None  # as it is called now
        return None
