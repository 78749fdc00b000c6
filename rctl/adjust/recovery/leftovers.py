"""The state in which a crash left an adjustment: reads every entry of it, and changes nothing.

Every step is looked at once, and every file is read once, so the cost grows with the size of the adjustment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from ...cgroupfs import labels
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import enabled
from ...controllers import cpuset, memory
from ...controllers.core import SUBTREE_CONTROL
from ...errors import GoneError, NotAvailableError
from ...limits import file_named
from ...units import level
from .. import writers
from ..lifecycle import processes
from ..steps import Disable, Enable, Key, Label, Make, Move, Remove, Renew, Set, SetThrough, Start, Step, by_entry


class Left:
    """``written``: everything has its final value. ``foreign``: entries that another program changed since.

    What goes through an owner never counts as written, because the files do not show what it stores. rctl puts it back.
    """

    def __init__(self, steps: Iterable[Step], cgroups: Mapping[str, Cgroup], recorded: Container[str]) -> None:
        """Read the present values; ``cgroups`` raises GoneError for removed cgroups, which do not count.

        ``recorded``: paths of cgroups with a known inode. A new cgroup has none until the journal is extended.
        """
        self._steps = list(steps)
        self._sets = by_entry(self._steps)
        self._helpers: dict[Key, list[Set]] = defaultdict(list)
        for step in self._steps:
            if isinstance(step, Set):
                for name, old in step.disturbed:
                    helper = Set(step.path, name, old, step.new if step.gentle else old)
                    self._helpers[step.path, name, ""].append(helper)
        self._now = _read([*self._sets, *(key for key in self._helpers if key not in self._sets)], cgroups)
        own = [(key, steps) for key, steps in self._sets.items() if key in self._now]
        self._stored = {
            key for key, steps in self._sets.items() if key not in self._now and any(map(writers.stored, steps))
        }
        self.foreign = {key for key, steps in own if not self._ours(key, steps)}
        self._labels = _read_labels(self._steps, cgroups)
        self._off = self._disabled(cgroups)
        self.written = (
            self._off is not None
            and not self._stored
            and all(self._has(key, steps) for key, steps in own)
            and not any(self._held())
        ) and all(self._done(step, cgroups, recorded) for step in self._steps)

    def _disabled(self, cgroups: Mapping[str, Cgroup]) -> set[tuple[str, str]] | None:
        """The controllers that were to be disabled, by path and name; ``None`` if some are still enabled."""
        found = set()
        for step in self._steps:
            if isinstance(step, Disable):
                with suppress(GoneError):
                    if enabled(cgroups[step.path], SUBTREE_CONTROL).intersection(step.controllers):
                        return None
                found |= {(step.path, name) for name in step.controllers}
        return found

    def _has(self, key: Key, steps: list[Set]) -> bool:
        """True if the entry has its final value. An entry that vanished with its controller had its default.

        The file of an entry never proves that its owner has stored the value, so that does not count.
        """
        if any(isinstance(step, SetThrough) for step in steps):
            return False
        if self._now[key] is not None:
            return _written(self._now[key], steps)
        above, controller = key[0], file_named(key[1]).controller
        while above != "/":
            above = above.rpartition("/")[0] or "/"
            if (above, controller) in (self._off or ()):
                return True
        return False

    def _done(self, step: Step, cgroups: Mapping[str, Cgroup], recorded: Container[str]) -> bool:
        """True if a step that is no limit was done. The process of a command closes the journal, so Start was not."""
        if isinstance(step, Label):
            now, own = self._labels.get((step.path, step.key), (None, []))
            return not own or now == own[-1].new
        with suppress(GoneError):
            if isinstance(step, Move):
                return processes.ended(step) or processes.is_in(cgroups[step.path], step)
            if isinstance(step, Enable):
                taken_back = {name for path, name in self._off or () if path == step.path}
                return enabled(cgroups[step.path], SUBTREE_CONTROL) | taken_back >= set(step.controllers)
        return step.path in recorded if isinstance(step, Make) else not isinstance(step, Start | Remove)

    def kept(self) -> list[tuple[str, str]]:
        """Values that another program changed since and that stay: path, and name of the file or label."""
        found = self._labels.items()
        others = sorted(at for at, (now, own) in found if all(now not in (step.old, step.new) for step in own))
        return [(path, file) for path, file, _ in sorted(self.foreign)] + [(p, f"label {key}") for p, key in others]

    def to_put_back(self) -> list[Step]:
        """One step for each entry that no other program changed, from its first old value to its last new one.

        Controllers that a foreign entry needs stay enabled.
        """
        return list(self._to_put_back())

    def _to_put_back(self) -> Iterator[Step]:
        seen: set[Key] = set()
        needed = self._needed()
        for step in self._steps:
            if isinstance(step, Enable):
                names = tuple(name for name in step.controllers if name not in needed.get(step.path, ()))
                if names:
                    yield Enable(step.path, names)
            elif isinstance(step, Disable | Label | Make | Move | Renew):
                yield step
            elif isinstance(step, Set):
                key = (step.path, step.file, step.key)
                there = key in self._now and key not in self.foreign
                if (there or key in self._stored) and key not in seen:
                    own = self._sets[key]
                    through = next((other for other in own if isinstance(other, SetThrough)), step)
                    beside = self._beside(through)
                    yield msgspec.structs.replace(through, old=step.old, new=own[-1].new, disturbed=beside)
                seen.add(key)

    def _needed(self) -> dict[str, set[str]]:
        """Controllers that foreign entries need, by each cgroup above."""
        found: dict[str, set[str]] = defaultdict(set)
        for path, file, _ in self.foreign:
            while path != "/":
                path = path.rpartition("/")[0] or "/"
                found[path].add(file_named(file).controller)
        return found

    def _beside(self, step: Set) -> tuple[tuple[str, str], ...]:
        """The files that the step disturbed, without ``memory.high`` if another program has changed it."""
        return tuple((name, old) for name, old in step.disturbed if not self._others_high(step.path, name))

    def _others_high(self, path: str, name: str) -> bool:
        key = (path, name, "")
        if name != memory.HIGH.name or key not in self._now:
            return False
        return key in self.foreign if key in self._sets else not self._lowered(key)

    def _ours(self, key: Key, steps: list[Set]) -> bool:
        """True if the entry still has a value that this adjustment found or wrote."""
        now, line = self._now[key], file_named(key[1]).line  # an invalid partition is written the same way
        if now is None or any(line(now) in (line(step.old), line(step.new)) for step in steps):
            return True
        if key[1] == memory.HIGH.name:
            return self._lowered(key)
        if key[1] == cpuset.PARTITION.name and now == cpuset.MEMBER and cpuset.INVALID in steps[0].old:
            return True  # between two kinds
        return not steps[-1].exact or key in self._helpers

    def _lowered(self, key: Key) -> bool:
        """True if ``memory.high`` has a value to which a shrink, which lowers it in steps, can have set it."""
        now, steps = self._now[key], [*self._sets.get(key, ()), *self._helpers.get(key, ())]
        low = min(level(step.new) for step in steps)
        return now is None or low <= level(now) <= max(level(step.old) for step in steps)

    def _held(self) -> Iterator[bool]:
        """For each ``memory.high`` that a shrink lowers and puts back: True if it is still low."""
        for key, steps in self._helpers.items():
            if key[1] == memory.HIGH.name and key not in self._sets and self._now.get(key) is not None:
                yield self._now[key] != steps[0].old and self._lowered(key)


def _written(now: str | None, steps: list[Set]) -> bool:
    """True if the entry is the last step's value; for a file that the kernel shows in its own form, if it changed."""
    old, last = steps[0].old, steps[-1]
    if now is None or now == last.new:
        return now is not None
    return file_named(last.file).holds(now, last.new) or (not last.exact and now != old)


def _read(keys: Iterable[Key], cgroups: Mapping[str, Cgroup]) -> dict[Key, str | None]:
    """The entries now; ``None`` if the file is missing, because its controller was not enabled yet."""
    by_path: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, file, key in keys:
        by_path[path][file].append(key)
    found: dict[Key, str | None] = {}
    for path, files in by_path.items():
        try:
            cgroup = cgroups[path]
            for name, entries in files.items():
                text = _text(cgroup, name)
                for key in entries:
                    found[path, name, key] = None if text is None else file_named(name).entry(text, key)
        except GoneError:
            for name, entries in files.items():
                for key in entries:
                    found.pop((path, name, key), None)
    return found


def _read_labels(
    steps: Iterable[Step], cgroups: Mapping[str, Cgroup]
) -> dict[tuple[str, str], tuple[str | None, list[Label]]]:
    """The label now, by path and key, and the steps that change it."""
    found: dict[tuple[str, str], tuple[str | None, list[Label]]] = {}
    for step in steps:
        if isinstance(step, Label):
            with suppress(GoneError):
                if (at := (step.path, step.key)) not in found:
                    found[at] = labels.get(cgroups[step.path], step.key), []
                found[at][1].append(step)
    return found


def _text(cgroup: Cgroup, name: str) -> str | None:
    try:
        return cgroup.read(name)
    except NotAvailableError:
        return None
