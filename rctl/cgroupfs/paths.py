"""The paths of all cgroups of a tree, fast: without opening those that have none below them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ..errors import RctlError
from .tree import Tree


def paths(tree: Tree, enter: Callable[[str], bool] = lambda _: True, top: str = "/") -> Iterator[str]:
    """The path of each cgroup below ``top``, parents first. Names that cannot be printed are left out.

    ``enter``: returns True to look below the cgroup of a path. It leaves out what was removed meanwhile, what the
    caller may not list, and what lies under another file system.
    """
    left = [top]
    while left:
        above = left.pop()
        stem = above.rstrip("/")
        try:
            with tree.walk(above) as here:
                below = [(name, f"{stem}/{name}") for name in here.children() if name.isprintable()]
                if tree.mount.over:
                    below = [(name, path) for name, path in below if not tree.covered(path)]
                left += [path for name, path in below if enter(path) and not _is_leaf(here.fd, name)]
        except RctlError:
            continue
        yield from (path for _, path in below)


def _is_leaf(above: int, name: str) -> bool:
    """True if there is no cgroup below: a directory has two links, and one more for each directory in it."""
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False).st_nlink == 2
    except OSError:
        return True
