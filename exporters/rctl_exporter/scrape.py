"""One scrape: find the VEs, read them, render the page, and measure all of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self, TypeVar

from rctl.adjust.records.desired import Desired
from rctl.adjust.site import Site
from rctl.cgroupfs.devices import disk_name
from rctl.cgroupfs.forest import Forest, Unread
from rctl.cgroupfs.open_files import Budget
from rctl.cgroupfs.watch import Watch
from rctl.errors import OUT_OF, RctlError
from rctl.sample.levels import host_file
from rctl.sample.limits_in_force import Standing, Standings
from rctl.sample.member import Ask, Member
from rctl.sample.sweep import Sweep

from .enforcement import Enforcement
from .files_to_read import ask
from .frame import Block, Figures, Frame, frame, identity_blocks, limit_blocks, process_blocks, without
from .limit_families import Values, values
from .page import Page
from .read_errors import Trouble
from .request_filter import ALL, Only
from .self_metrics import Own
from .settings import Settings
from .ve_names import VeNames

_T = TypeVar("_T")


def _boot_id(site: Site) -> str:
    """This boot's id. Empty where it cannot be read (``ProcSubset=pid``): then no desired value is known."""
    try:
        return site.boot_id
    except OSError as error:
        if error.errno in OUT_OF:
            raise
        return ""


class Scraper:
    """Reads all VEs on demand. It is not safe for several threads at once. Use as a context manager, or ``close()`` it.

    Raises NotAvailableError if no more inotify instance is free, UsageError for wrong settings.
    """

    def __init__(
        self,
        site: Site,
        settings: Settings,
        watch: bool = True,
        budget: Budget | None = None,
    ) -> None:
        """``site`` stays open for the caller; drift is told by the history in its state.

        ``watch``: use the kernel's reports of changes. Without it, everything is read each time, which is best for a
        single scrape; and the page then has no figures of the process, because that is about to end.
        ``budget``: of open files; unset, the settings' share of all that this process may open.
        """
        self._tree = site.tree
        self._settings = settings
        self._budget = budget or Budget(settings.kept_fds)
        self._names = VeNames(site.tree)
        self._forest = Forest(site.tree.root, self._enter, Watch() if watch else None, self._budget)
        self._sweep = Sweep(self._forest, self._choose, self._budget)
        self._desired = Desired(site.state, _boot_id(site))
        self._standings = Standings(self._forest, host_file, self._desired.files)
        self._figures = Figures()
        self._identity: tuple[Sequence[Member], list[Block]] = ((), [])
        self._stands: Mapping[Member, Standing] = {}
        self._enforcement = Enforcement(site.tree)
        self._version = -1, -1
        self._values: dict[Member, tuple[Standing, Values]] = {}
        self._blocks: list[Block] = []
        self._page = Page()
        self.trouble = Trouble()
        self.own = Own(lasting=watch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all descriptors."""
        self._sweep.close()
        self._forest.close()
        self._desired.close()

    def scrape(self, openmetrics: bool = False, only: Only = ALL) -> list[bytes]:
        """Read everything and render one whole page, in chunks: first the VEs', then the exporter's own families.

        ``only``: the part to show. Raises UsageError for a part that this exporter cannot show.
        """
        begin = time.perf_counter()
        if only == ALL:
            chunks = self._page.render(self.frame(), openmetrics)
        else:
            only.check(self._settings.collectors, self.own.names)
            shown = {family: blocks for family, blocks in self.frame().items() if only.shows(family)}
            chunks = Page().render(shown, openmetrics)
        self.own.scraped(
            seconds=time.perf_counter() - begin,
            ves=len(self._sweep.members),
            errors=self.trouble.errors,
            unread=self.trouble.ves,
            kept=self._budget.kept,
            size=sum(map(len, chunks)),
            writes=self._desired.writes,
            failures=self._desired.failures,
        )
        return [*chunks, self.own.page(openmetrics, only)]

    def files(self) -> Iterator[str]:
        """Paths in the cgroup mount of all files that every scrape shows, also of those that it need not read."""
        for member in self._sweep.members:
            kept = [part.kept for part in member.parts] + ([member.procs] if member.procs else [])
            yield from (f"{member.node.cgroup.path}/{name}" for one in kept for name in one.names)

    def frame(self) -> Frame:
        """Read everything. Leaves out what cannot be read; ``trouble`` and the exporter's own families show that."""
        self.trouble = Trouble()
        timed, sweep = self._timed, self._sweep
        timed("discovery", sweep.find, lambda: self._forest.failed)
        blocks = self._figures.blocks(timed("files", sweep.take, lambda: sweep.unread))
        blocks += timed("limits", self._limit_blocks, lambda: self._standings.failed, [])
        if self._desired.refused:
            self.trouble.failed(RctlError(self._desired.refused))
        blocks += process_blocks(timed("processes", sweep.processes, lambda: sweep.uncounted, {}))
        blocks += self._identity_blocks()
        gone = self._sweep.gone | self._standings.gone
        return frame(without(gone, blocks) if gone else blocks, disk_name)

    def _timed(
        self, collector: str, work: Callable[[], _T], unread: Callable[[], list[Unread]], otherwise: _T | None = None
    ) -> _T:
        """Do a step, and note its time and success. It succeeds only if it read everything; ``unread`` lists the rest.

        If it fails, the result is ``otherwise``; if that is unset, the whole scrape fails.
        """
        begin = time.perf_counter()
        ok = False
        try:
            result = work()
            ok = self.trouble.add(unread())
            return result
        except (RctlError, OSError) as error:
            if otherwise is None:
                raise
            self.trouble.failed(error)
            return otherwise
        finally:
            self.own.collected(collector, time.perf_counter() - begin, ok)

    def _identity_blocks(self) -> list[Block]:
        """The identity blocks; made again only when a VE came or went."""
        if self._identity[0] is not self._sweep.members:
            self._identity = self._sweep.members, identity_blocks(self._sweep.members)
        return self._identity[1]

    def _limit_blocks(self) -> list[Block]:
        """The blocks of limits; made again only when a limit, its bounds or a desired value changed."""
        members = self._sweep.members
        if len(self._desired) > 2 * len(members) + 64:
            self._desired.keep({member.node.cgroup.ino for member in members})
        self._desired.refresh()
        stands = self._standings.refresh(members, self._desired.version)
        self._enforcement.refresh(stands)
        version = self._desired.version, self._enforcement.version
        if stands is not self._stands or version != self._version:
            known = self._values if version == self._version else {}
            self._values = {
                member: known[member]
                if member in known and known[member][0] is standing
                else self._shown(member, standing)
                for member, standing in stands.items()
            }
            self._stands, self._version = stands, version
            self._blocks = limit_blocks({member: shown for member, (_, shown) in self._values.items()})
        return self._blocks

    def _shown(self, member: Member, standing: Standing) -> tuple[Standing, Values]:
        drift = self._desired.drift(member.node.cgroup.ino, standing.limits)
        return standing, values(standing, drift, self._enforcement.reasons(member))

    def _enter(self, path: str) -> bool:
        """False for rctl's own VEs: the cgroups below these are part of the VE."""
        return not self._tree.managed(path)

    def _choose(self, path: str) -> tuple[str, Ask, Mapping[str, str]] | None:
        matched = self._tree.managed(path) or path
        if path == "/" or not self._settings.matches(matched):
            return None
        name, info = self._names.name(path)
        return name, ask(self._settings.selection(matched)), info
