"""Checks that the opened cgroups are the ones that an adjustment means, and that rctl may write to them."""

from __future__ import annotations

from collections.abc import Sequence

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import GoneError, UsageError
from .. import owner, writers
from ..request import NOTHING, Around, Wish
from ..writers.base import Writer


def check_intended(tree: Tree, wishes: Sequence[Wish], opened: Sequence[Cgroup]) -> None:
    """Check that every VE is the intended one."""
    inodes = [ve.ino for ve in opened]
    if len(set(inodes)) < len(inodes):
        seen: dict[int, str] = {}
        for wish, ino in zip(wishes, inodes, strict=True):
            if (twin := seen.setdefault(ino, wish.name)) != wish.name:
                raise UsageError(f"{wish.name}: is the same VE as {twin}. Name it once")
    for wish, ino in zip(wishes, inodes, strict=True):
        if wish.ino is not None and ino != wish.ino:
            path = tree.path(wish.name)
            raise GoneError(f"{path}: is now another VE of the same name (the old one was removed). See rctl ls")
    if tree.mount.over:
        for ve in opened:
            tree.check_files(ve.path)


def allowed(
    tree: Tree, wishes: Sequence[Wish], opened: Sequence[Cgroup], around: Around, runtime: bool
) -> dict[str, Sequence[Writer]]:
    """Check that rctl may write to every VE. Returns the writers, by path, of those that may have other than ``files``.

    ``runtime``: see ``writers.of``. Raises NotAvailableError.
    """
    found: dict[str, Sequence[Writer]] = {}
    alike: dict[str, Sequence[Writer]] = {}
    if owner.applies():
        for wish, ve in zip(wishes, opened, strict=True):
            if around is not NOTHING and around.beyond_limits(wish.name):
                owner.check(tree, ve.path)
            elif wish.before or not writers.as_neighbours(ve.path):
                found[ve.path] = writers.of(tree, ve.path, runtime, wish.before)
            else:
                parent = ve.path.rpartition("/")[0]
                if parent not in alike:
                    alike[parent] = writers.of(tree, ve.path, runtime)
                found[ve.path] = alike[parent]
    return found
