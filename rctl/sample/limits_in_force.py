"""The limits in force, for thousands of VEs: read after a write, not each time.

The limits of a VE change when its files are written. Its bounds also change with a write to a cgroup above it, and with
the host. ``Forest`` counts the writes. Facts that the kernel changes by itself, such as the host's CPUs and memory, are
read each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from ..cgroupfs.forest import Forest, Node, Unread
from ..controllers import hugetlb
from ..errors import GoneError, KernelError
from ..limits import FILES
from .effective import Bound, effective
from .levels import Level, OptionalReader, host
from .member import Member

_NAMES = frozenset(file.name for file in FILES)
_BOUNDS = ("memory.max",)
_BINDING = frozenset({"cpu.max", "cpuset.cpus.effective", *_BOUNDS})
"""The files of each level on the way up."""

Stamp = tuple[object, ...]


@lru_cache(256)  # most VEs have the same files
def _chosen(
    limits: Callable[[tuple[str, ...]], Collection[str]] | None, more: frozenset[str], there: tuple[str, ...]
) -> tuple[str, ...]:
    ours = {name for name in more if name in _NAMES or hugetlb.FILE.fullmatch(name)}
    wanted = _BINDING.union(ours, limits(there) if limits else ())
    return tuple(name for name in there if name in wanted)


class Standing(NamedTuple):
    """``limits``: the texts of limits' files, by name. ``bounds``: the lowest limits on the way up, by limit."""

    limits: Mapping[str, str]
    bounds: Mapping[str, Bound]


class Standings:
    """The limits of many VEs.

    ``failed``: VEs that could not be read, and the causes; they are tried again. ``gone``: VEs that were removed.
    """

    def __init__(
        self, forest: Forest, read_host: OptionalReader, more: Callable[[int], frozenset[str]] = lambda _: frozenset()
    ) -> None:
        """``read_host``: returns the host's files by absolute path. ``more``: for a VE's inode, files of limits to read
        in addition to those that are asked for.
        """
        self._forest = forest
        self._read_host = read_host
        self._more = more
        self._asked: Mapping[Node, Member] = {}
        self._host = Level("host", {})
        self._hosts = 0
        self._facts: tuple[object, ...] = ()
        self._seen: Stamp = ()
        self._levels: dict[Node, tuple[Stamp, Level]] = {}
        self._stamps: dict[Member, Stamp] = {}
        self._found: dict[Member, Standing] = {}
        self._alike: dict[tuple[object, ...], Mapping[str, Bound]] = {}
        self.failed: list[Unread] = []
        self.gone: set[Member] = set()

    def refresh(self, members: Iterable[Member], version: int = 0) -> Mapping[Member, Standing]:
        """The limits now. If nothing changed, this is the same object, and so is each entry.

        ``version``: must change if ``more`` may return something else.
        """
        self._look_at_host()
        forest = self._forest
        now = (forest.limits, forest.cpusets, forest.generation, self._hosts, version)
        if now != self._seen:
            self._asked = {member.node: member for member in members}
            self.failed = []
            self.gone = set()
            old, self._found = self._found, {}
            self._alike = {}
            for member in members:
                if member.ask.limits and (found := self._standing(member, old.get(member))):
                    self._found[member] = found
            self._alike = {}
            self._stamps = {member: self._stamps[member] for member in self._found}
            self._levels = {node: level for node, level in self._levels.items() if not node.cgroup.closed}
            self._seen = () if self.failed else now
        return self._found

    def _standing(self, member: Member, old: Standing | None) -> Standing | None:
        way = tuple(member.node.way_up())
        more = self._more(member.node.cgroup.ino)
        stamp = (self._hosts, self._forest.cpusets, more, *(node.limits for node in way))
        if old and self._stamps[member] == stamp:
            return old
        try:
            levels = [self._level(node) for node in way]
        except GoneError:
            self.gone.add(member)
            return None
        except KernelError as error:
            self.failed.append(Unread(member.node.cgroup.path, error))
            return None
        self._stamps[member] = stamp
        return Standing(levels[0].texts, self._bounds(levels))

    def _bounds(self, levels: list[Level]) -> Mapping[str, Bound]:
        """The bounds of a VE: the same object for VEs of one cgroup with equal limits that do not bind."""
        own, *above = levels
        key = (tuple(map(own.texts.get, _BINDING)), *map(id, above))
        if found := self._alike.get(key):
            return found
        found = effective([*levels, self._host], _BOUNDS)
        if all(bound.source != own.path for bound in found.values()):
            self._alike[key] = found
        return found

    def _level(self, node: Node) -> Level:
        member = self._asked.get(node)
        more = self._more(node.cgroup.ino) if member else frozenset()
        names = _chosen(member.ask.limits if member else None, more, node.names())
        stamp = (node.limits, self._forest.cpusets, names)
        known = self._levels.get(node)
        if not known or known[0] != stamp:
            known = self._levels[node] = (stamp, Level(node.cgroup.path, node.cgroup.texts(names)))
        return known[1]

    def _look_at_host(self) -> None:
        facts = (os.sysconf("SC_PHYS_PAGES"), self._read_host("/sys/devices/system/cpu/online"))
        if facts != self._facts:
            self._facts = facts
            self._host = host(self._read_host)
            self._hosts += 1
