"""The methods of a Session that only read. Nothing here changes a VE."""

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
    """One host to look at: its VEs, their use, their history."""

    def doctor(self) -> Sequence[Check]:
        """Check the abilities of this host, what it lacks, and the remedies. Works without cgroup2, too.

        Returns a Check for each item: its name, its state, the finding, and the remedy. It raises nothing about what a
        host lacks.
        """
        from ..doctor import diagnose

        try:
            return diagnose(self.tree, self.state)
        except NotAvailableError as error:
            return diagnose(None, self.state, problem=str(error))

    def match(self, *patterns: str) -> Sequence[str]:
        """The names of VEs, each once; without patterns, all of rctl's own VEs.

        A cgroup whose name cannot be printed is left out, with a note. Returns names, as all methods take them. Raises
        NotFoundError for a pattern that matches nothing.

        >>> s.match("web*")
        ['web1', 'web2']
        """
        from ..names.patterns import match

        return match(self.tree, patterns, self.tell) if patterns else self.tree.names()

    def _shown(self, *patterns: str) -> Sequence[str]:
        """As ``match``, for methods that only read: a VE under another file system is left out, with a note.

        A VE that was asked for by its name is not left out.
        """
        from ..names.patterns import shown

        return shown(self.tree, self.match(*patterns), patterns, self.tell)

    def list(self, *patterns: str, everything: bool = False) -> Sequence[Row]:
        """List VEs with their use and limits.

        ``everything``: other cgroups with processes, too; patterns then match whole paths.

        Returns a Row for each VE, sizes in bytes, CPUs as a number, pressure in percent. Raises NotFoundError.
        """
        from ..names.patterns import shown
        from ..sample import overview

        if everything:
            return overview.everything(self.tree, patterns, self.tell)
        if not (names := self.match(*patterns)):
            self.tree.place().close()  # a missing place is an error, and not "no VEs yet"
        return [*overview.rows(self.tree, shown(self.tree, names, patterns, self.tell), patterns)]

    def show(self, *patterns: str, interval: float | None = None) -> Sequence[View]:
        """Everything about VEs: use, limits, bounds, the room left.

        ``interval``: watch for so many seconds, and include rates.

        Returns a View for each VE. Raises NotFoundError.
        """
        from ..sample.levels import host_file
        from ..sample.view import views

        return views(self.tree, self._shown(*patterns), host_file, interval, patterns)

    def sample(self, *patterns: str) -> Mapping[str, Sample]:
        """The use, the waits and the refusals of VEs now.

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
        """Limits of a VE by key, as texts that ``adjust`` takes; ``io.max`` is one text for each device.

        ``keys``: of limits, as ``adjust`` takes them; none: all limits that differ from a new VE.

        Returns sizes in bytes, times in microseconds, ``cpu.max`` in CPUs. Raises UsageError for an unknown key,
        NotFoundError, NotAvailableError for a file that this kernel or VE does not have.
        """
        from ..names.patterns import one
        from ..ve import copy

        return copy.get(self.tree, one(self.tree, name), keys)

    def ps(self, *patterns: str) -> Sequence[Process]:
        """The processes of VEs and of the cgroups below them.

        Returns a Process for each, VE by VE. Raises NotFoundError.
        """
        from ..ve.processes import listing

        return listing(self.tree, self._shown(*patterns), patterns)

    def export(self, *patterns: str) -> tuple[str, Sequence[str]]:
        """VEs with their limits and labels as a spec; to ``apply`` it at once changes nothing.

        What a unit has by default or from its own file is left out. Returns the TOML text, and notes for people on what
        is left out. Raises NotFoundError.
        """
        from ..ve import copy

        return copy.spec(self.site, self._shown(*patterns), patterns)

    def history(self, *patterns: str, last: int | None = None) -> Sequence[Record]:
        """Adjustments, newest first; with patterns, only those of these VEs, also of VEs that are gone.

        A rolling change, or a ramp, is one Record with the steps of all its ``parts``.

        ``last``: at most so many. Lines that are no record of rctl, or of a newer rctl, give a note.

        Returns Records: ``id``, ``time`` in seconds since 1970, ``command``, ``steps``. Raises RctlError if the history
        cannot be read.
        """
        from ..adjust.records.changes import grouped
        from ..adjust.records.history import newest
        from ..adjust.undoing.choose import about
        from ..names.patterns import present

        wanted = about(self.tree, [*patterns, *present(self.tree, patterns)]) if patterns else None
        return newest(self.state, last, self.tell, wanted, group=grouped)
