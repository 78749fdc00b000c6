"""The tree that the model speaks of: cgroups, who is in them, and one adjustment of it, which undo can take back."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

from tests.kernel.model_words import IDLE, controller_of, fresh

NOTHING: Mapping[str, str] = MappingProxyType({})
NO_LABELS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class Refused(Exception):  # noqa: N818 (no error of the model)
    """rctl refuses this, and nothing changes."""


@dataclass(frozen=True)
class Machine:
    """What depends on the kernel: its files, the weight that an idle cgroup shows, all CPUs and nodes as lists.

    ``reclaims``: whether memory can be freed when asked for (5.19).
    """

    files: frozenset[str]
    idle_weight: str
    all: Mapping[str, str]
    reclaims: bool = True


@dataclass(frozen=True)
class Group:
    """A cgroup. ``held``: what is not as on a new one, by file, for io.max by file and device.

    ``number`` tells it from others that had its name. ``gives``: controllers enabled for its children.
    """

    number: int = 0
    held: dict[str, str] = field(default_factory=dict)
    gives: frozenset[str] = frozenset()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class Record:
    """One adjustment, for undo. Entries are (path, key)."""

    number: int
    before: dict[tuple[str, str], str] = field(default_factory=dict)
    after: dict[tuple[str, str], str] = field(default_factory=dict)
    beside: dict[tuple[str, str], str] = field(default_factory=dict)
    """What the kernel changed besides, and how it was before."""
    enabled: dict[str, set[str]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Where a process went, and where it was before."""
    labels: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Before and after, an empty one where there was none."""
    removed: list[str] = field(default_factory=list)
    released: dict[str, set[str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    renames: bool = False

    def __bool__(self) -> bool:
        """Whether anything was done."""
        return bool(
            self.before or self.enabled or self.made or self.moved or self.labels or self.removed or self.released
        )

    def paths(self) -> set[str]:
        """The cgroups that it is about."""
        found = {path for path, _ in (*self.before, *self.labels)} | {*self.made, *self.removed}
        return found | {path for path, _ in self.moved.values()} or set(self.enabled)


class Tree:
    """All cgroups by path, the processes by name and where they are, the adjustments so far, newest last."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.groups = {"/": Group()}
        self.processes: dict[str, str] = {}
        self.records: list[Record] = []
        self.count = 0

    def copy(self) -> Self:
        """Another one that is the same."""
        made = object.__new__(type(self))
        made.__dict__ |= self.__dict__
        made.groups, made.processes, made.records = dict(self.groups), dict(self.processes), list(self.records)
        return made

    def entry(self, path: str, key: str) -> str:
        """What is set, or what a new cgroup has."""
        return self.groups[path].held.get(key, fresh(key))

    def there(self, path: str, key: str) -> bool:
        """Whether the file is there: the controller is enabled above."""
        controller = controller_of(key)
        return not controller or controller in self.groups[above(path)].gives

    def text(self, path: str, file: str) -> str | None:
        """What the kernel shows; ``None`` for a file that is not there."""
        if not self.there(path, file):
            return None
        if file == "io.max":
            lines = [f"{key[7:]} {rates}" for key, rates in self.groups[path].held.items() if key.startswith("io.max ")]
            return "\n".join(sorted(lines))
        entry = self.entry(path, file)
        return self.machine.idle_weight if entry == IDLE else entry

    def names(self) -> list[str]:
        """The VEs by name."""
        return sorted(path[6:] for path in self.groups if path.startswith("/rctl-") and path.count("/") == 1)

    def children(self, path: str) -> list[str]:
        """The cgroups right below."""
        return [other for other in self.groups if other != "/" and above(other) == path]

    def inside(self, path: str) -> set[str]:
        """The processes in a cgroup and below."""
        return {name for name, where in self.processes.items() if where == path or where.startswith(path + "/")}

    def match(self, names: Iterable[str]) -> list[str]:
        """The paths for names, patterns and labels. Refused when one is of nothing."""
        found: list[str] = []
        for name in names:
            if name.startswith("label:"):
                key, _, value = name[6:].partition("=")
                paths = [path for path in map(path_of, self.names()) if self.groups[path].labels.get(key) == value]
            elif "*" in name:
                paths = [path_of(one) for one in fnmatch.filter(self.names(), name)]
            else:
                paths = [path_of(name)]
            if not paths:
                raise Refused(f"{name}: matches nothing")
            found += paths
        return list(dict.fromkeys(found))

    def add(self, path: str) -> None:
        """A new cgroup."""
        need(path not in self.groups, "is there already")
        self.count += 1
        self.groups[path] = Group(self.count)

    def put_labels(self, path: str, labels: Mapping[str, str], record: Record | None = None) -> None:
        """Labels more; an empty one is removed. What they change is added to the record."""
        merged = self.groups[path].labels | labels
        for key, new in labels.items():
            old = self.groups[path].labels.get(key, "")
            if record is not None and old != new:
                record.labels[path, key] = old, new
        self.groups[path] = replace(self.groups[path], labels={key: value for key, value in merged.items() if value})

    def same(self, record: Record, path: str) -> bool:
        """Whether the cgroup is there, and not another of the same name."""
        return path in self.groups and self.groups[path].number == record.numbers.get(path)

    def change(
        self,
        wishes: Mapping[str, Mapping[str, str]],
        *,
        made: Iterable[str] = (),
        labels: Mapping[str, Mapping[str, str]] = NO_LABELS,
        move: Iterable[str] = (),
        back: Mapping[str, str] = NOTHING,
        given: Mapping[str, Iterable[str]] = NOTHING,
        remove: Iterable[str] = (),
        kill: bool = False,
    ) -> Record:
        """One adjustment: make, enable, set, label, move, take controllers back, remove. All of it, or Refused."""
        self.count += 1
        record = Record(self.count, made=list(made), removed=list(remove))
        for path in record.made:
            if path not in self.groups:
                self.add(path)
        for path, keys in wishes.items():
            need(path in self.groups, "no such VE")
            self.put(path, keys, record)
        for path, own in labels.items():
            self.put_labels(path, own, record)
        self._move(record, wishes, move, back)
        going = set(record.removed)
        for path in sorted(given, key=lambda path: path.rstrip("/").count("/"), reverse=True):
            if names := self.groups[path].gives.intersection(given[path]) - self._used(path, going):
                record.released[path] = names
                self._take_back(path, names)
        record.numbers = {path: self.groups[path].number for path in record.paths() | record.enabled.keys()}
        self._remove(record.removed, kill)
        return record

    def _move(self, record: Record, targets: Iterable[str], names: Iterable[str], back: Mapping[str, str]) -> None:
        for name in names:
            (path,) = targets
            self._check_enter(path)
            need(name in self.processes, "no such process")
            if self.processes[name] != path:
                record.moved[name] = (path, self.processes[name])
                self.processes[name] = path
        for name, home in back.items():
            need(home in self.groups, "where it was is gone")
            need(home == "/" or not self.groups[home].gives, "where it was takes no processes")
            record.moved[name] = (home, self.processes[name])
            self.processes[name] = home

    def _remove(self, paths: Iterable[str], kill: bool) -> None:
        for path in paths:
            need(kill or not self.inside(path), "has processes")
            for name in self.inside(path):
                del self.processes[name]
            self.groups = {one: g for one, g in self.groups.items() if one != path and not one.startswith(path + "/")}

    def put(self, path: str, keys: Mapping[str, str], record: Record) -> None:
        """Entries of one cgroup. What they change is added to the record."""
        for key, wanted in keys.items():
            if self.there(path, key) or wanted != fresh(key):
                self._enable(path, key, record)
        held = dict(self.groups[path].held)
        for key, wanted in sorted(keys.items()):  # cpu.idle before cpu.weight
            old, new = self.entry(path, key), wanted
            if key in self.machine.all and not new and old and self.inside(path):
                new = self.machine.all[key]  # under tasks it cannot be emptied
            if old == new:
                continue
            need(key != "cpu.weight" or held.get("cpu.idle") != "1", "an idle cgroup has no weight")
            record.before[path, key], record.after[path, key] = old, new
            held[key] = new
            if key == "cpu.idle":
                record.beside[path, "cpu.weight"] = held.get("cpu.weight", "100")
                held["cpu.weight"] = IDLE if new == "1" else "100"
        quota, burst = held.get("cpu.max", "max").split()[0], int(held.get("cpu.max.burst", "0"))
        need(quota == "max" or burst <= int(quota), "a burst beyond the quota")
        self.groups[path] = replace(self.groups[path], held={k: v for k, v in held.items() if v != fresh(k)})

    def _enable(self, path: str, key: str, record: Record) -> None:
        """The controller of a file, in each cgroup above; one with processes of its own can give none."""
        while (controller := controller_of(key)) and path != "/":
            path = above(path)
            if controller not in self.groups[path].gives:
                need(path == "/" or path not in self.processes.values(), "has processes of its own")
                record.enabled.setdefault(path, set()).add(controller)
                self.groups[path] = replace(self.groups[path], gives=self.groups[path].gives | {controller})

    def _take_back(self, path: str, names: Iterable[str]) -> None:
        """Controllers go, and what children have of them."""
        names = set(names)
        self.groups[path] = replace(self.groups[path], gives=self.groups[path].gives - names)
        for child in self.children(path):
            held = {key: entry for key, entry in self.groups[child].held.items() if controller_of(key) not in names}
            self.groups[child] = replace(self.groups[child], held=held)

    def _used(self, path: str, going: set[str]) -> set[str]:
        """The controllers of which a child has a limit, or that it gives on. All CPUs are no limit."""
        found: set[str] = set()
        for child in self.children(path):
            if child not in going:
                held = self.groups[child].held.items()
                found |= {controller_of(key) for key, entry in held if entry != self.machine.all.get(key)}
                found |= self.groups[child].gives
        return found

    def _check_enter(self, path: str) -> None:
        need(not self.groups[path].gives, "gives controllers to its children")
        while path != "/":
            need(self.entry(path, "cgroup.freeze") == "0", "is frozen")
            path = above(path)


def path_of(name: str) -> str:
    """Where a VE lies; a path stands for itself."""
    return name if name.startswith("/") else f"/rctl-{name}"


def above(path: str) -> str:
    """The path of the cgroup right above."""
    return path.rpartition("/")[0] or "/"


def need(condition: object, reason: str) -> None:
    """Refused, unless the condition holds."""
    if not condition:
        raise Refused(reason)
