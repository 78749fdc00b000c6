"""One VE of a sweep: which of its files are read, in which parts, and what they held the last time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import NamedTuple

from ..cgroupfs.changed_counts import Noted, is_noted
from ..cgroupfs.forest import Node
from ..cgroupfs.open_files import Budget, Kept
from ..controllers.core import PROCS
from ..errors import KernelError
from .layout import FigureRow, Layout, Wanted
from .population import processes


class Ask(NamedTuple):
    """What is wanted of a VE.

    ``files``: which of the files that its cgroup has, in parts: those whose lines differ from VE to VE (by device) best
    in one of their own; so, too, those that ``is_noted`` names, which are then not read each time. ``figures``: which
    of those in them. ``limits``: which of the files that hold limits; ``None``: nothing is asked of these. ``tag``:
    anything by which the asker knows this wish again. ``spared``: files whose descriptors are not kept, unless the
    budget was ``told``; a part of others, too, keeps all.
    """

    files: Callable[[tuple[str, ...]], Sequence[Sequence[str]]]
    figures: Wanted
    limits: Callable[[tuple[str, ...]], Collection[str]] | None
    processes: bool
    tag: Hashable = None
    spared: frozenset[str] = frozenset()


class Part:
    """Some files of a VE that are read together. ``errors``: those that are there and cannot be read.

    ``text`` and ``row`` are of the last reading: most VEs rest most of the time, and what is the same is not parsed
    again.
    """

    __slots__ = ("errors", "kept", "layout", "row", "text")

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.layout: Layout | None = None
        self.text = b""
        self.row: FigureRow | None = None
        self.errors: Sequence[KernelError] = ()

    def fetch(self) -> FigureRow | None:
        """Read anew, and keep: the figures as ``layout`` says; ``None`` when they must be looked for."""
        if self.layout is None:
            return None
        try:
            self.take(self.kept.read())
        except OSError:  # the slow way finds out which file, and why
            self.row = None
        return self.row

    def take(self, text: bytes) -> None:
        """Keep what was just read, and its figures."""
        if text != self.text:
            self.row = self.layout.row(text) if self.layout else None
            self.text = text


class Member:
    """One VE that is read again and again.

    ``parts``: its files, as they were found when ``files`` was the node's count; ``procs``: the list of its processes;
    ``unread``: why that list cannot be read, where it is there.
    """

    __slots__ = ("ask", "files", "name", "node", "parts", "procs", "unread")

    def __init__(self, node: Node, name: str, ask: Ask) -> None:
        self.node = node
        self.name = name
        self.ask = ask
        self.files = -1
        self.parts: list[Part] = []
        self.procs: Kept | None = None
        self.unread: list[KernelError] = []

    @property
    def errors(self) -> list[KernelError]:
        """Its files that are there and cannot be read."""
        return [*self.unread, *(error for part in self.parts for error in part.errors)]

    def find_files(self, budget: Budget) -> None:
        """See anew which files there are. Raises GoneError, KernelError."""
        self.close()
        files, cgroup = self.node.files, self.node.cgroup
        self.parts = [Part(self._kept(names, budget)) for names in self.ask.files(self.node.names())]
        if self.ask.processes:
            self.procs = Kept(cgroup, (PROCS,), budget)
            self.unread = self.procs.each()[1]
        self.files = -1 if self.unread else files  # what could not be read is looked for again next time

    def _kept(self, names: Sequence[str], budget: Budget) -> Kept:
        if all(map(is_noted, names)):
            return Noted(self.node.cgroup, names, budget, self.node)
        return Kept(self.node.cgroup, names, budget, spared=all(name in self.ask.spared for name in names))

    def processes(self) -> int | None:
        """How many processes live in it. Inside a VE of rctl's own, the cgroups below have no node, and count with it.

        ``None``: the cgroup is threaded, and the kernel does not say. Raises GoneError, KernelError.
        """
        if self.procs and not self.procs.names:
            return None
        if self.procs and (self.node.leaf or self.node.children):
            return self.procs.lines()
        return processes(self.node.cgroup)

    def close(self) -> None:
        """Let go of its files."""
        while self.parts:
            self.parts.pop().kept.close()
        if self.procs:
            self.procs.close()
        self.procs = None
        self.unread = []
        self.files = -1
