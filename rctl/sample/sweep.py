"""One reading of thousands of VEs at little cost.

Files are kept open within a budget. A ``layout`` that was found once takes the figures out of texts. ``forest`` follows
VEs that come and go, by the kernel's reports. The bounds are in ``limits_in_force``. Figures stay the kernel's bytes;
their user knows their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..cgroupfs.forest import Forest, Node, Unread
from ..cgroupfs.open_files import Budget, Together
from ..errors import GoneError, KernelError
from .layout import FigureRow, Layout
from .member import Ask, Member, Part
from .population import in_children

_TRIED = 16  # layouts of the same files to try before a new one is made


Choose = Callable[[str], tuple[str, Ask] | tuple[str, Ask, Mapping[str, str]] | None]
"""For a cgroup path, the VE's name and the wish for it; ``None`` leaves it out."""


class Plan:
    """VEs whose figures have the same positions, and the files to read."""

    def __init__(self, layout: Layout, members: list[Member], parts: list[Part]) -> None:
        self.layout = layout
        self.members = members
        self._parts = parts
        self._together = [part for part in parts if part.kept.keeps]
        self._alone = [part for part in parts if not part.kept.keeps]
        self._files = Together(part.kept for part in self._together)

    def read(self) -> list[FigureRow | None]:
        """Read again: the figures of each VE; ``None`` if its layout no longer fits."""
        try:
            for part, text in zip(self._together, self._files.read(), strict=True):
                part.take(text)
        except OSError:  # one by one, to find the file that fails
            for part in self._together:
                part.fetch()
        for part in self._alone:
            part.fetch()
        return [part.row for part in self._parts]


class Group(NamedTuple):
    """VEs with the same layout: the VEs, and a row for each, in the order of ``layout.columns``."""

    layout: Layout
    members: list[Member]
    rows: list[FigureRow]


class Sweep:
    """A repeated reading of many VEs. ``close()`` it; the forest stays the caller's.

    ``members``: the VEs, in the order of their paths; the same object until one comes or goes. ``gone``: those that
    could not be read at the last ``take`` or ``processes``. ``uncounted``: those whose processes could not be counted.
    """

    def __init__(self, forest: Forest, choose: Choose, budget: Budget) -> None:
        self._forest = forest
        self._choose = choose
        self._budget = budget
        self._members: dict[Node, Member] = {}
        self._layouts: dict[tuple[Ask, tuple[str, ...]], list[Layout]] = {}
        self._generation = -1
        self._failed: list[Unread] = []
        self._plans: list[Plan] = []
        self._found_at = (-1, -1)
        self._unread = False
        self.members: Sequence[Member] = ()
        self.gone: set[Member] = set()
        self.uncounted: list[Unread] = []

    @property
    def unread(self) -> list[Unread]:
        """Files that exist and that ``take`` could not read."""
        if not self._unread:
            return []
        return self._failed + [
            Unread(member.node.cgroup.path, error) for member in self.members for error in member.errors
        ]

    def find(self) -> None:
        """Update the list of VEs that came and went."""
        self._forest.refresh()
        if self._generation == self._forest.generation:
            return
        self._generation = self._forest.generation
        old, self._members = self._members, {}
        for node in self._forest.root.below():
            if member := old.pop(node, None) or self._member(node):
                self._members[node] = member
        self.members = tuple(self._members.values())
        for gone in old.values():
            gone.close()

    def take(self) -> list[Group]:
        """Read every VE's figures. A VE that was removed meanwhile is left out."""
        self.gone = set()
        self._failed = []
        if self._find_files() or not self._plans:
            for member in self.members:
                for part in member.parts:
                    part.fetch()
            return self._grouped()
        groups = [
            Group(plan.layout, plan.members, plan.read())  # type: ignore[arg-type]
            for plan in self._plans
        ]
        return self._grouped() if any(None in group.rows for group in groups) else groups

    def processes(self) -> dict[Member, int]:
        """The number of processes in and below each VE whose wish includes it.

        Each cgroup is counted once, children first, and counts for all above it.
        """
        self.uncounted = []
        known: dict[Node, int] = {}
        found: dict[Member, int] = {}
        for member in reversed(self.members):
            if member.ask.processes and member not in self.gone:
                try:
                    number = member.processes()
                    if number is not None:
                        known[member.node] = found[member] = number + in_children(member.node, known)
                except GoneError:
                    self.gone.add(member)
                except KernelError as error:
                    self.uncounted.append(Unread(member.node.cgroup.path, error))
        return {member: found[member] for member in self.members if member in found}

    def close(self) -> None:
        """Close all files."""
        for member in self._members.values():
            member.close()
        self._members.clear()
        self.members = ()

    def _member(self, node: Node) -> Member | None:
        chosen = self._choose(node.cgroup.path)
        return Member(node, *chosen) if chosen else None

    def _find_files(self) -> bool:
        """Find the files of VEs again, if they may have changed. Returns True if there were such VEs."""
        now = (self._forest.files, self._generation)
        if now == self._found_at and not self._unread:
            return False
        self._found_at = now
        self._unread = False
        for member in self.members:
            if member.files != member.node.files and not self._found(member):
                self.gone.add(member)
        return True

    def _found(self, member: Member) -> bool:
        try:
            member.find_files(self._budget)
        except GoneError:
            return False
        except KernelError as error:
            self._failed.append(Unread(member.node.cgroup.path, error))
            self._unread = True
            return False
        self._unread = self._unread or bool(member.unread)
        return True

    def _grouped(self) -> list[Group]:
        """Look for figures whose layout no longer fits, and group the VEs by layout."""
        found: dict[Layout, tuple[list[Member], list[Part]]] = {}
        for member in self.members:
            if member in self.gone or not all(
                part.row is not None or self._anew(member, part) for part in member.parts
            ):
                self.gone.add(member)
                continue
            for part in member.parts:
                members, parts = found.setdefault(part.layout, ([], []))  # type: ignore[arg-type]
                members.append(member)
                parts.append(part)
        self._plans = [] if self.gone else [Plan(layout, *those) for layout, those in found.items()]
        return [Group(layout, members, [part.row for part in parts]) for layout, (members, parts) in found.items()]  # type: ignore[misc]

    def _anew(self, member: Member, part: Part) -> bool:
        """Read files whose layout is not known, or has changed. Returns False if the VE is gone."""
        if part.layout:
            member.node.events += 1  # files that wait for a report may have changed, too
        try:
            texts, errors = part.kept.each()
        except GoneError:
            return False
        part.errors = errors or ()
        if errors:
            member.files = -1  # find all files again next time
            self._unread = True
        part.text = b"".join(texts.values())
        part.layout, part.row = self._layout(member.ask, texts, part.text)
        return part.row is not None

    def _layout(self, ask: Ask, texts: Mapping[str, bytes], text: bytes) -> tuple[Layout, FigureRow | None]:
        """A layout that fits: one of other VEs, because trying costs far less than making one; else a new one."""
        known = self._layouts.setdefault((ask, tuple(texts)), [])
        for layout in known:
            if (row := layout.row(text)) is not None:
                return layout, row
        layout = Layout(texts, ask.figures)
        known.insert(0, layout)
        del known[_TRIED:]
        return layout, layout.row(text)
