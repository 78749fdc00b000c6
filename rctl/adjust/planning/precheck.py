"""The checks of a dry run: it refuses what the kernel would refuse, as far as that shows without a write.

Values that only a write can check get a note: not checked.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...controllers import cpu, cpuset, hugetlb
from ...errors import GoneError, KernelError, NotFoundError
from ...formats import File, Whole
from ...limits import file_named
from ...units import level
from .. import cpuset_lists
from ..steps import Set, Step
from . import partitions

_TOGETHER = (cpu.MAX.name, cpu.BURST.name)


def check(steps: Sequence[Step], cgroups: Mapping[str, Cgroup], tree: Tree, before: Sequence[Step] = ()) -> list[str]:
    """Raise the error with which these steps would end. Returns notes for people about values that were not checked.

    ``cgroups``: those of the steps that exist. ``before``: steps that are checked already and will have run by then.
    """
    now = _Now(cgroups, tree, [step.path for step in steps])
    for step in before:
        if isinstance(step, Set):
            now.put(step)
    notes: list[str] = []
    for step in steps:
        if isinstance(step, Set):
            now.put(step)
            _check(step, now)
            notes += _unchecked(step, now)
    return notes


def check_partitions(
    wanted: Collection[str],
    steps: Sequence[Step],
    cgroups: Mapping[str, Cgroup],
    tree: Tree,
    removed: Collection[str] = (),
) -> None:
    """Raise BusyError for a cgroup that the steps make a partition, and that cannot be one with all the final lists.

    ``wanted``: the paths of such cgroups. ``removed``: paths of cgroups that are removed after the steps.
    """
    now = _Now(cgroups, tree, [step.path for step in steps])
    for step in steps:
        if isinstance(step, Set):
            now.put(step)
    for path in wanted:
        own = [now.entry(path, file) for file in (cpuset.CPUS, cpuset.EXCLUSIVE)]
        partitions.check(path, own, now.lists_beside(path, cpuset.CPUS) if now.by_list(path) else {}, removed)


def _check(step: Set, now: _Now) -> None:
    if step.file in _TOGETHER:
        quota, burst = now.entry(step.path, cpu.MAX).split()[0], now.entry(step.path, cpu.BURST)
        if quota != "max" and int(burst) > int(quota):
            raise KernelError(step.path, step.file, step.new, errno.EINVAL)
    elif number := cpuset_lists.no_such(step.file, step.new):
        raise KernelError(step.path, step.file, step.new, number)
    elif step.file == cpuset.EXCLUSIVE.name:
        if partitions.shared(step.new, now.lists_beside(step.path, cpuset.EXCLUSIVE)):
            raise KernelError(step.path, step.file, step.new, errno.EINVAL)
    elif hugetlb.FILE.fullmatch(step.file):
        used = now.text(step.path, step.file.removesuffix("max") + "current")
        if used and int(used) > level(step.new):
            raise KernelError(step.path, step.file, step.new, errno.EBUSY)


def _unchecked(step: Set, now: _Now) -> list[str]:
    what = f"{step.path}: {step.file}: not checked"
    if isinstance(file_named(step.file), Whole):
        return [f"{what}: only the kernel knows which values this file takes"]
    if step.file == cpuset.PARTITION.name and step.new != cpuset.MEMBER:
        return [f"{what}: the kernel tells only when it is written whether this can be a partition"]
    if step.file == cpuset.CPUS.name:
        return [
            f"{what}: {path} is a partition with some of these CPUs. The kernel refuses the list (before Linux 6.1), "
            "makes that partition invalid, or leaves the CPUs to it (Linux 7)"
            for path in partitions.shared(step.new, now.lists_beside(step.path, cpuset.CPUS))
            if now.entry(path, cpuset.PARTITION) in partitions.KINDS
        ]
    return []


class _Now:
    """The present state, and its changes by the steps so far."""

    def __init__(self, cgroups: Mapping[str, Cgroup], tree: Tree, paths: Collection[str]) -> None:
        self._cgroups, self._tree, self._paths = cgroups, tree, paths
        self._new: dict[tuple[str, str], str] = {}

    def put(self, step: Set) -> None:
        self._new[step.path, step.file] = step.new

    def entry(self, path: str, file: File) -> str:
        new = self._new.get((path, file.name))
        return file.entry(self.text(path, file.name)) if new is None else new

    def text(self, path: str, name: str) -> str | None:
        """The kernel's text; ``None`` if there is no such file, or no such cgroup yet."""
        if path in self._cgroups:
            return self._cgroups[path].read_if_there(name)
        with suppress(NotFoundError, GoneError), self._tree.walk(path) as cgroup:
            return cgroup.read_if_there(name)
        return None

    def by_list(self, path: str) -> bool:
        """True if the kernel has no list of exclusive CPUs. False if no cgroup shows that yet."""
        for other in (path, *self._there(path)):
            if self.text(other, cpuset.CPUS.name) is not None:
                return self.text(other, cpuset.EXCLUSIVE.name) is None
        return False

    def _there(self, path: str) -> list[str]:
        above = path.rpartition("/")[0]
        with self._tree.walk(above or "/") as parent:
            return [f"{above}/{name}" for name in parent.children()]

    def lists_beside(self, path: str, file: File) -> dict[str, str]:
        """The entry of each cgroup beside this one, by path, also of those that are still to be made."""
        above, there = path.rpartition("/")[0], self._there(path)
        found = dict.fromkeys([*there, *(other for other in self._paths if other.rpartition("/")[0] == above)])
        return {other: self.entry(other, file) for other in found if other != path}
