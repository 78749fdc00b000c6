"""What a Session tells. Nothing here changes a VE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import NotAvailableError
from .session_base import SessionBase

if TYPE_CHECKING:
    from ..adjust.records.record_format import Record
    from ..doctor import Check
    from ..sample import Sample
    from ..sample.overview import Row
    from ..sample.view import View
    from ..ve.processes import Process


class SessionReads(SessionBase):
    """One host, looked at: what is there, what it uses, what was done to it."""

    def doctor(self) -> Sequence[Check]:
        """What this host can do for rctl, what it lacks, and how to mend it. Works without cgroup2, too.

        Returns a Check for each thing: its name, whether it is well, what was found, and the remedy. It raises nothing
        for what a host lacks.
        """
        from ..doctor import diagnose

        try:
            return diagnose(self.tree, state=self.state)
        except NotAvailableError as error:
            return diagnose(None, state=self.state, problem=str(error))

    def match(self, *patterns: str) -> Sequence[str]:
        """The names of VEs, each once; of all of rctl's own when no pattern is given.

        A cgroup whose name cannot be printed is left out, and told. Returns names, as all methods take them. Raises
        NotFoundError for a pattern that matches nothing.
        """
        from ..names.patterns import match

        return match(self.tree, patterns, self.tell) if patterns else self.tree.names()

    def _shown(self, *patterns: str) -> Sequence[str]:
        """As ``match``, for what only looks: a VE that another file system is mounted over is left out, and told.

        One that was asked for by its name is not left out.
        """
        from ..names.patterns import shown

        return shown(self.tree, self.match(*patterns), patterns, self.tell)

    def list(self, *patterns: str, everything: bool = False) -> Sequence[Row]:
        """VEs at a glance.

        ``everything``: other cgroups with processes, too; patterns then match whole paths.

        Returns a Row for each VE, sizes in bytes, CPUs as a number, pressure in percent. Raises NotFoundError.
        """
        from ..names.patterns import shown
        from ..sample import overview

        if everything:
            return overview.everything(self.tree, patterns, self.tell)
        if not (names := self.match(*patterns)):
            self.tree.place().close()  # that it is not there is no answer such as: no VEs yet
        return [*overview.rows(self.tree, shown(self.tree, names, patterns, self.tell), patterns)]

    def show(self, *patterns: str, interval: float | None = None) -> Sequence[View]:
        """All that can be told of VEs: use, limits, what binds them, the room left.

        ``interval``: watch for so many seconds, and tell rates, too.

        Returns a View for each VE. Raises NotFoundError.
        """
        from ..sample.levels import host_file
        from ..sample.view import views

        return views(self.tree, self._shown(*patterns), host_file, interval, patterns)

    def sample(self, *patterns: str) -> Mapping[str, Sample]:
        """What VEs use, wait for and were refused now.

        Returns a Sample by name: sizes in bytes, times in microseconds as the kernel has them. Raises NotFoundError.
        """
        from ..names.patterns import may_go
        from ..sample import read

        found = {}
        for name in self._shown(*patterns):
            with may_go(self.tree, name, patterns), self.tree.open_ve(name) as ve:
                found[name] = read(ve, name)
        return found

    def get(self, name: str, *keys: str) -> Mapping[str, Sequence[str]]:
        """Limits of a VE by key, as texts that ``adjust`` takes; ``io.max`` is a text for each device.

        ``keys``: of limits, as ``adjust`` takes them; none: of all limits that are not as in a new VE.

        Returns sizes in bytes, times in microseconds, ``cpu.max`` in CPUs. Raises UsageError for what is no key,
        NotFoundError, NotAvailableError for a file that this kernel or VE does not have.
        """
        from ..ve import copy

        return copy.get(self.tree, name, keys)

    def ps(self, *patterns: str) -> Sequence[Process]:
        """The processes of VEs and of the cgroups below them.

        Returns a Process for each, VE by VE. Raises NotFoundError.
        """
        from ..ve.processes import listing

        return listing(self.tree, self._shown(*patterns), patterns)

    def export(self, *patterns: str) -> tuple[str, Sequence[str]]:
        """VEs with their limits and labels as a spec, which ``apply`` takes and which then changes nothing.

        Returns the TOML text, and a note for people on each limit that a spec cannot say. Raises NotFoundError.
        """
        from ..ve import copy

        return copy.spec(self.tree, self._shown(*patterns), patterns)

    def history(self, *patterns: str, last: int | None = None) -> Sequence[Record]:
        """Adjustments, newest first; of VEs, by name or pattern, also those that are gone by now.

        ``last``: so many at most. Lines that are no record of rctl, or of a newer one, are told.

        Returns Records: ``id``, ``time`` in seconds since 1970, ``command``, ``steps``. Raises RctlError when the
        history cannot be read.
        """
        from ..adjust.records.history import newest
        from ..adjust.undoing.choose import about

        wanted = about(self.tree, patterns) if patterns else None
        return newest(self.state, last, self.tell, wanted)
