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
        try:
            with tree.walk(above) as here:
                below = _children(here.fd)
        except (OSError, RctlError):
            continue
        stem = above.rstrip("/")
        for name, is_leaf in below:
            path = f"{stem}/{name}"
            if name.isprintable() and not (tree.mount.over and tree.covered(path)):
                yield path
                if not is_leaf and enter(path):
                    left.append(path)


def _children(fd: int) -> list[tuple[str, bool]]:
    """The names of the cgroups directly below, sorted; True for one that has none below it: it has two links."""
    with os.scandir(fd) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    found = []
    for name in names:
        try:
            found.append((name, os.stat(name, dir_fd=fd, follow_symlinks=False).st_nlink == 2))
        except OSError:
            continue
    return found
