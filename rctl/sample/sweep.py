"""One reading of thousands of VEs at next to no cost.

Files are kept open under a budget, texts are picked apart by a ``layout`` that was found once, VEs come and go by the
kernel's own word (``forest``). What binds them is in ``limits_in_force``. Figures stay the kernel's
bytes: who shows them knows what they mean.
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

_TRIED = 16  # layouts of the same files that are tried before one is made


Choose = Callable[[str], tuple[str, Ask] | None]
"""For a cgroup path the VE's name and what is wanted of it; ``None`` to leave it out."""


class Plan:
    """Whose figures stand in the same places, and where they are read."""

    def __init__(self, layout: Layout, members: list[Member], parts: list[Part]) -> None:
        self.layout = layout
        self.members = members
        self._parts = parts
        self._together = [part for part in parts if part.kept.keeps]
        self._alone = [part for part in parts if not part.kept.keeps]
        self._files = Together(part.kept for part in self._together)

    def read(self) -> list[FigureRow | None]:
        """Read anew: the figures of each VE; ``None`` where they must be looked for."""
        try:
            for part, text in zip(self._together, self._files.read(), strict=True):
                part.take(text)
        except OSError:  # one by one, to find out whose file
            for part in self._together:
                part.fetch()
        for part in self._alone:
            part.fetch()
        return [part.row for part in self._parts]


class Group(NamedTuple):
    """VEs whose figures stand in the same places: the VEs, and for each a row as ``layout.columns`` say."""

    layout: Layout
    members: list[Member]
    rows: list[FigureRow]


class Sweep:
    """A reading of many VEs, again and again. ``close()`` it; the forest stays the caller's.

    ``members``: the VEs, in the order of their paths; the same object until one comes or goes. ``gone``: those that
    could not be read at the last ``take`` or ``processes``. ``uncounted``: whose processes could not be counted.
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
        """What is there and could not be read by ``take``."""
        if not self._unread:
            return []
        return self._failed + [
            Unread(member.node.cgroup.path, error) for member in self.members for error in member.errors
        ]

    def find(self) -> None:
        """Take in which VEs have come and gone."""
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
        """Read every VE's figures. One that has gone meanwhile is left out."""
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
        """How many processes live in each VE of which that is wanted, and below it.

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
        """Let go of all files."""
        for member in self._members.values():
            member.close()
        self._members.clear()
        self.members = ()

    def _member(self, node: Node) -> Member | None:
        chosen = self._choose(node.cgroup.path)
        return Member(node, *chosen) if chosen else None

    def _find_files(self) -> bool:
        """See anew which files there are, of VEs where that may have changed. Returns whether it was so anywhere."""
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
        """Look for the figures that were not where they should be, and see which VEs have theirs in the same places."""
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
        """Read files whose layout is not known, or has changed. Returns whether the VE is still there."""
        if part.layout:
            member.node.events += 1  # whatever happened may concern the files, too, that wait for a report
        try:
            texts, errors = part.kept.each()
        except GoneError:
            return False
        part.errors = errors or ()
        if errors:
            member.files = -1  # all is looked for again next time
            self._unread = True
        part.text = b"".join(texts.values())
        part.layout, part.row = self._layout(member.ask, texts, part.text)
        return part.row is not None

    def _layout(self, ask: Ask, texts: Mapping[str, bytes], text: bytes) -> tuple[Layout, FigureRow | None]:
        """A layout that fits: one that other VEs have, for making one costs far more than trying; else a new one."""
        known = self._layouts.setdefault((ask, tuple(texts)), [])
        for layout in known:
            if (row := layout.row(text)) is not None:
                return layout, row
        layout = Layout(texts, ask.figures)
        known.insert(0, layout)
        del known[_TRIED:]
        return layout, layout.row(text)
