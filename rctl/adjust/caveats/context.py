"""The surroundings of a limit that is set: other files of the VE, cgroups above and beside it, the host.

Values that the same adjustment sets are seen as they will be, so a dry run reports the same as the adjustment.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree
from ...controllers import hugetlb, io
from ...errors import OUT_OF, RctlError
from ...host import Host
from ...limits import file_named
from ...not_enforced import HUGETLB, Conditions
from ..locks import MANY
from ..steps import Enable, Renew, Set, Step

_FRESH = 0.05


def moment() -> int:
    """A counter that rises every ``_FRESH`` seconds. Facts that seldom change are read again when it does."""
    return int(time.monotonic() / _FRESH)


@lru_cache(1)
def iocost_disks(root: Cgroup, _moment: int) -> frozenset[str]:
    """The disks that use iocost, as ``MAJOR:MINOR``."""
    lines = (root.read_if_there("io.cost.qos") or "").splitlines()
    return frozenset(line.split()[0] for line in lines if "enable=1" in line)


class Surroundings:
    """Reads each file at most once. Its methods raise RctlError if a cgroup was removed or may not be read."""

    def __init__(self, tree: Tree, host: Host, steps: Sequence[Step], cgroups: Mapping[str, Cgroup]) -> None:
        """``cgroups``: open ones by path, with those of the steps."""
        self.host = host
        self._tree = tree
        self._steps = steps
        self._cgroups = cgroups
        self._many = len(cgroups) > MANY
        self._texts: dict[str, Texts] = {}
        self._conditions: dict[str, Conditions] = {}
        self._new: dict[tuple[str, str, str], str] | None = None
        self._beside: dict[tuple[str, str], list[tuple[str, str]]] = {}

    @cached_property
    def tasks(self) -> float:
        """Upper bound of a cgroup's number of processes and threads: that of the host, if that saves many reads."""
        return self.host.tasks() if self._many else math.inf

    @cached_property
    def swap_used(self) -> float:
        """Upper bound of a cgroup's swap in use, in bytes: that of the host, if that saves many reads."""
        return self.host.swap_used() if self._many else math.inf

    def conditions(self, path: str) -> Conditions:
        """What decides whether limits of a VE are enforced. Threads and huge pages are looked at only of a few VEs."""
        if (known := self._conditions.get(path)) is not None:
            return known
        there = None if self._many else self._cgroups.get(path)
        self._conditions[path] = found = Conditions(
            self.host,
            lambda: iocost_disks(self._tree.root, moment()),
            lambda: self._cgroups[path].has(io.BFQ_WEIGHT.name),
            lambda: _policies(there) if there else {},
            lambda: hugetlb.in_use(there.texts(hugetlb.files(there.files()))) if there else 0,
            HUGETLB in self._tree.mount.options,
        )
        return found

    @cached_property
    def partitions(self) -> dict[str, bool]:
        """The partitions that get or lose CPUs by the adjustment, by path; True if they were valid before it."""
        return {step.path: step.valid for step in self._steps if isinstance(step, Renew)}

    @cached_property
    def _enabled(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for step in self._steps:
            if isinstance(step, Enable):
                found.setdefault(step.path, set()).update(step.controllers)
        return found

    def enabled_for(self, path: str) -> Collection[str]:
        """The controllers that this adjustment gives to a cgroup."""
        return self._enabled.get(path.rpartition("/")[0] or "/", ())

    def entry(self, path: str, file: str) -> str:
        """The entry of a file with one entry, as it will be; the default if the file is missing."""
        if self._new is None:
            self._new = {(step.path, step.file, step.key): step.new for step in self._steps if isinstance(step, Set)}
        planned = self._new.get((path, file, ""))
        return file_named(file).entry(self.text(path, file)) if planned is None else planned

    def text(self, path: str, file: str) -> str | None:
        """The kernel's text; ``None`` if there is no such file."""
        if (texts := self._texts.get(path)) is None:
            if path == "/":
                return self._tree.root.read_if_there(file)
            if path not in self._cgroups:
                with self._tree.walk(path) as cgroup:
                    return cgroup.read_if_there(file)
            texts = self._texts[path] = Texts(self._cgroups[path])
        return texts[file]

    def above(self, path: str) -> Iterator[str]:
        """The cgroups above, the nearest first, without the root."""
        while path := path.rpartition("/")[0]:
            yield path

    def children(self, path: str, file: str) -> list[tuple[str, str]]:
        """Path and text of this file for each cgroup directly below that has it."""
        found = self._beside.get((path, file))
        if found is None:
            found = self._beside[path, file] = list(self._read_below(path or "/", file))
        return found

    def _read_below(self, above: str, file: str) -> Iterator[tuple[str, str]]:
        with self._tree.walk(above) as parent:
            for name in parent.children():
                try:
                    with parent.child(name) as child:
                        if (text := child.read_if_there(file)) is not None:
                            yield child.path, text
                except RctlError as error:
                    if getattr(error, "errno", 0) in OUT_OF:
                        raise


def _policies(cgroup: Cgroup) -> dict[int, list[int]]:
    """Loads what reads them, because few limits depend on them."""
    from ...cgroupfs.policies import policies

    return policies(cgroup)
