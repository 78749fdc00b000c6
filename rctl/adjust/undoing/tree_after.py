"""The tree as it would be after planned steps: a dry run of several undos plans each on it.

Reads go to the real cgroups. Values that the steps would change are given as they would be. Values that only the kernel
decides are not given: UnreckonedError.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Self

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...controllers import core, cpu, cpuset, memory
from ...errors import NotAvailableError, NotFoundError, RctlError
from ...formats import Keyed, Nested, Whole
from ...limits import file_named
from ..lifecycle import processes
from ..steps import Disable, Enable, Label, Move, Reclaim, Remove, Renew, Set, Step

_WHOLE = ""
"""Stands for a file's name: the whole cgroup."""
_VIEWS = {cpu.WEIGHT.name: (cpu.NICE,), cpu.NICE.name: (cpu.WEIGHT,), cpu.IDLE.name: (cpu.WEIGHT, cpu.NICE)}
"""Files whose writes make the kernel change other files."""
_CURRENT = "memory.current"


class UnreckonedError(RctlError):
    """The kernel decides the contents of a file."""


class _Changed:
    """The differences from the real tree. ``unknown``: files, or whole cgroups, whose contents are not known."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}
        self.labels: dict[str, dict[str, str | None]] = defaultdict(dict)
        self.unknown: set[tuple[str, str]] = set()
        self.gone: set[str] = set()
        self.on: dict[str, set[str]] = defaultdict(set)
        self.off: dict[str, set[str]] = defaultdict(set)

    def to(self, path: str, name: str, text: str) -> None:
        self.texts[path, name] = text
        self.unknown.discard((path, name))


class _Cgroup(Cgroup):
    """A cgroup as it would be; it is read-only."""

    __slots__ = ("_changed",)

    def __init__(self, path: str, fd: int, device: int, changed: _Changed) -> None:
        super().__init__(path, fd, device)
        self._changed = changed

    @classmethod
    def like(cls, real: Cgroup, changed: _Changed) -> Self:
        """Takes the place and the descriptor of a real cgroup."""
        return cls(real.path, real.fd, real.device, changed)

    def child(self, name: str) -> Cgroup:
        """As of a real cgroup."""
        path = f"{self.path.rstrip('/')}/{name}"
        if path in self._changed.gone:
            raise NotFoundError(f"{path}: there is no such cgroup. See rctl ls")
        return self.like(super().child(name), self._changed)

    def above(self) -> Cgroup:
        """As of a real cgroup."""
        return self.like(super().above(), self._changed)

    def children(self) -> list[str]:
        """As of a real cgroup."""
        return [name for name in super().children() if f"{self.path.rstrip('/')}/{name}" not in self._changed.gone]

    def read(self, name: str) -> str:
        """As of a real cgroup."""
        return self._told(name, lambda: super(_Cgroup, self).read(name))

    def edit(self, name: str, known: bool = True) -> str:
        """As of a real cgroup."""
        return self._told(name, lambda: super(_Cgroup, self).edit(name, known))

    def attributes(self, prefix: str) -> dict[str, str]:
        """As of a real cgroup. Only labels are asked for."""
        if (self.path, _WHOLE) in self._changed.unknown:
            raise UnreckonedError(f"labels: what {self.path} will have then is not known")
        found = super().attributes(prefix) | self._changed.labels[self.path]
        return {key: value for key, value in found.items() if value is not None}

    def _told(self, name: str, real: Callable[[], str]) -> str:
        changed, file = self._changed, file_named(name)
        if not changed.unknown.isdisjoint([(self.path, name), (self.path, _WHOLE)]):
            raise UnreckonedError(f"{name}: the kernel alone knows what {self.path} will have there then")
        above = self.path.rpartition("/")[0] or "/"
        if file.controller in changed.off[above]:
            raise NotAvailableError(f"{name}: not there on {self.path}: its controller will be disabled by then")
        try:
            text = real()
        except NotAvailableError:
            if file.controller not in changed.on[above] or isinstance(file, Whole):
                raise
            text = "" if isinstance(file, Keyed | Nested) else file.default + "\n"
        return changed.texts.get((self.path, name), text)


class Supposed(Tree):
    """A tree as it would be. It uses the descriptors of the real one, and must not be closed."""

    __slots__ = ("_changed",)

    def __init__(self, tree: Tree) -> None:
        self._changed = _Changed()
        super().__init__(_Cgroup.like(tree.root, self._changed), tree.naming, tree.mount)

    def walk(self, path: str) -> Cgroup:
        """As in a real tree."""
        found = super().walk(path)
        return found if isinstance(found, _Cgroup) else _Cgroup.like(found, self._changed)

    def after(self, steps: Iterable[Step]) -> None:
        """From now on, as if these steps had run, too."""
        steps = list(steps)
        for step in steps:
            if isinstance(step, Set):
                self._set(step)
            elif isinstance(step, Enable | Disable):
                self._switch(step)
            elif isinstance(step, Label):
                self._changed.labels[step.path][step.key] = step.new
            elif isinstance(step, Reclaim):
                self._changed.to(step.path, _CURRENT, str(min(step.goal, step.usage)))
            elif isinstance(step, Move):
                self._move(step)
            elif isinstance(step, Remove):
                self._changed.gone.add(step.path)
        self._changed.unknown |= {(step.path, cpuset.PARTITION.name) for step in steps if isinstance(step, Renew)}
        written = {(step.path, step.file) for step in steps if isinstance(step, Set)}
        for path, name in written:
            views = {(path, view.name) for view in _VIEWS.get(name, ())}
            self._changed.unknown |= views - written
            if name in (cpuset.CPUS.name, cpuset.EXCLUSIVE.name, cpuset.PARTITION.name):
                self._partitions(path, written)

    def unknown(self, paths: Iterable[str]) -> None:
        """From now on, these cgroups are not known."""
        self._changed.unknown |= {(path, _WHOLE) for path in paths}

    def _set(self, step: Set) -> None:
        text, file = step.new, file_named(step.file)
        if step.key:
            with self.walk(step.path) as cgroup:
                lines = (cgroup.read_if_there(step.file) or "").splitlines()
            rest = [line for line in lines if line.split()[:1] != [step.key]]
            text = "\n".join([*rest, *([f"{step.key} {step.new}"] if step.new != file.entry("", step.key) else [])])
        self._changed.to(step.path, step.file, text + "\n" if text else "")
        if step.file == memory.MAX.name and not step.gentle and memory.MAX.lowers(step.old, step.new):
            self._changed.unknown.add((step.path, _CURRENT))  # --force: the kernel decides what it frees

    def _switch(self, step: Enable | Disable) -> None:
        on, off = self._changed.on[step.path], self._changed.off[step.path]
        names = set(step.controllers)
        more, less = (names, set[str]()) if isinstance(step, Enable) else (set[str](), names)
        with self.walk(step.path) as cgroup:
            self._list(cgroup, core.SUBTREE_CONTROL, more, less)
            on |= more
            off -= more
            on -= less
            off |= less
            for name in cgroup.children():
                with cgroup.child(name) as child:
                    self._list(child, core.CONTROLLERS, more, less)

    def _list(self, cgroup: Cgroup, name: str, more: set[str], less: set[str]) -> None:
        self._changed.to(cgroup.path, name, " ".join(sorted({*cgroup.read(name).split(), *more} - less)) + "\n")

    def _move(self, step: Move) -> None:
        pid = str(step.pid)
        for path in step.home, step.path:
            with self.walk(path) as cgroup:
                there = [other for other in (cgroup.read_if_there(core.PROCS) or "").split() if other != pid]
                self._changed.to(
                    path, core.PROCS, "".join(f"{one}\n" for one in (*there, *[pid] * (path == step.path)))
                )
        for path in step.home, step.path:
            while path.strip("/"):
                self._populated(path)
                path = path.rpartition("/")[0]

    def _populated(self, path: str) -> None:
        with self.walk(path) as cgroup:
            if (text := cgroup.read_if_there(core.EVENTS)) is not None:
                rest = [line for line in text.splitlines() if not line.startswith("populated ")]
                self._changed.to(
                    path, core.EVENTS, "\n".join([f"populated {bool(processes.processes(cgroup)):d}", *rest])
                )

    def _partitions(self, path: str, written: Collection[tuple[str, str]]) -> None:
        """Lists and partitions make others, beside and below, valid or invalid; the kernel decides which."""
        above, unknown = path.rpartition("/")[0] or "/", self._changed.unknown
        effective, partition = f"{cpuset.CPUS.name}.effective", cpuset.PARTITION.name
        concerned = {path} if (path, partition) in written else set()
        for place in above, path:
            with self.walk(place) as parent:
                for name in parent.children():
                    with parent.child(name) as child:
                        known = (child.path, partition) not in unknown
                        kind = ((child.read_if_there(partition) if known else None) or cpuset.MEMBER).strip()
                        if not known or kind != cpuset.MEMBER:
                            concerned.add(child.path)
        unknown |= {(path, effective), *((one, partition) for one in concerned)}
        if concerned:
            unknown.add((above, effective))
