"""One VE of a sweep: the files to read, their parts, and their last texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

from ..cgroupfs.changed_counts import Noted, is_noted
from ..cgroupfs.forest import Node
from ..cgroupfs.open_files import Budget, Kept
from ..controllers.core import PROCS
from ..errors import KernelError
from .layout import FigureRow, Layout, Wanted
from .population import processes


class Ask(NamedTuple):
    """The wish for a VE.

    ``files``: chooses from the cgroup's files, in parts. Files whose lines differ between VEs (by device) should be a
    part of their own; so should files that ``is_noted`` names, because they are not read each time. ``figures``:
    chooses from the figures. ``limits``: chooses from the files with limits; ``None``: none of them. ``tag``: any
    object by which the caller recognises this wish. ``spared``: files whose descriptors are not kept, unless the budget
    was ``told``; a part with other files in it keeps all of its descriptors.
    """

    files: Callable[[tuple[str, ...]], Sequence[Sequence[str]]]
    figures: Wanted
    limits: Callable[[tuple[str, ...]], Collection[str]] | None
    processes: bool
    tag: Hashable = None
    spared: frozenset[str] = frozenset()


class Part:
    """Some files of a VE that are read together. ``errors``: those that exist and cannot be read.

    ``text`` and ``row`` are of the last reading. Most VEs rest most of the time, and the same text is not parsed again.
    """

    __slots__ = ("errors", "kept", "layout", "row", "text")

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.layout: Layout | None = None
        self.text = b""
        self.row: FigureRow | None = None
        self.errors: Sequence[KernelError] = ()

    def fetch(self) -> FigureRow | None:
        """Read again: the figures by ``layout``; ``None`` if the layout no longer fits."""
        if self.layout is None:
            return None
        try:
            self.take(self.kept.read())
        except OSError:  # the slow way finds the file and the cause
            self.row = None
        return self.row

    def take(self, text: bytes) -> None:
        """Keep a text that was just read, and its figures."""
        if text != self.text:
            self.row = self.layout.row(text) if self.layout else None
            self.text = text


class Member:
    """One VE that is read repeatedly.

    ``parts``: its files, as they were when ``files`` was the node's count. ``procs``: the list of its processes.
    ``unread``: the error, if that list exists and cannot be read. ``info``: texts about it, for the caller.
    """

    __slots__ = ("ask", "files", "info", "name", "node", "parts", "procs", "unread")

    def __init__(self, node: Node, name: str, ask: Ask, info: Mapping[str, str] | None = None) -> None:
        self.node = node
        self.name = name
        self.ask = ask
        self.info = info or {}
        self.files = -1
        self.parts: list[Part] = []
        self.procs: Kept | None = None
        self.unread: list[KernelError] = []

    @property
    def errors(self) -> list[KernelError]:
        """Its files that exist and cannot be read."""
        return [*self.unread, *(error for part in self.parts for error in part.errors)]

    def find_files(self, budget: Budget) -> None:
        """Find its files again. Raises GoneError, KernelError."""
        self.close()
        files, cgroup = self.node.files, self.node.cgroup
        self.parts = [Part(self._kept(names, budget)) for names in self.ask.files(self.node.names())]
        if self.ask.processes:
            self.procs = Kept(cgroup, (PROCS,), budget)
            self.unread = self.procs.each()[1]
        self.files = -1 if self.unread else files  # try again next time if one could not be read

    def _kept(self, names: Sequence[str], budget: Budget) -> Kept:
        if all(map(is_noted, names)):
            return Noted(self.node.cgroup, names, budget, self.node)
        return Kept(self.node.cgroup, names, budget, spared=all(name in self.ask.spared for name in names))

    def processes(self) -> int | None:
        """The number of its processes. For rctl's own VE, the cgroups below it have no node, and are included.

        ``None``: the cgroup is threaded, and the kernel does not show it. Raises GoneError, KernelError.
        """
        if self.procs and not self.procs.names:
            return None
        if self.procs and (self.node.leaf or self.node.children):
            return self.procs.lines()
        return processes(self.node.cgroup)

    def close(self) -> None:
        """Close its files."""
        while self.parts:
            self.parts.pop().kept.close()
        if self.procs:
            self.procs.close()
        self.procs = None
        self.unread = []
        self.files = -1
