"""The part of a page that a request asks for: ``collect[]`` and ``exclude[]`` as in node_exporter, ``name[]`` as in
prometheus_client. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Self

from rctl.errors import UsageError

from .families import Family
from .settings import COLLECTORS

_MOST = 1000


class Only(NamedTuple):
    """A part of a page: the families of collectors in ``collect`` and not in ``exclude`` that have one of ``names``.

    Empty ``collect`` or ``names``: all. The exporter's own families belong to no collector.
    """

    collect: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, query: str) -> Self:
        """Read a request's query; other keys are ignored. Raises UsageError for an unknown collector."""
        from urllib.parse import parse_qsl

        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST)
        except ValueError:
            raise UsageError(f"the query has more than {_MOST} parts. Ask for fewer") from None
        found = cls(
            *(frozenset(value for key, value in pairs if key == f"{of}[]") for of in ("collect", "exclude", "name"))
        )
        if found.collect and found.exclude:
            raise UsageError("collect[] and exclude[] at once. Give one of them")
        for name in sorted(found.collect | found.exclude):
            if name not in COLLECTORS:
                raise UsageError(f"{name[:40]!r} is no collector. Use {', '.join(COLLECTORS)}")
        return found

    def check(self, collectors: Collection[str], own: Collection[str]) -> None:
        """Raise UsageError for a collector that is switched off, and for a name that no family can have.

        ``collectors``: those that are on. ``own``: names of the exporter's own families.
        """
        for name in sorted(self.collect.difference(collectors)):
            raise UsageError(f"collector {name!r} is switched off. Start the exporter with --collect to switch it on")
        for name in sorted(self.names.difference(own)):
            if not _known(name):
                raise UsageError(f"{name[:80]!r} is no metric. See rctl exporter metrics")

    def shows(self, family: Family) -> bool:
        """True if the request asks for this family of VEs."""
        if family.collector in self.exclude or (self.collect and family.collector not in self.collect):
            return False
        return not self.names or not self.names.isdisjoint((family.full_name, family.sample))

    def shows_own(self, *names: str) -> bool:
        """True if the request asks for this family of the exporter. ``names``: all its names."""
        return not self.names or not self.names.isdisjoint(names)


ALL = Only()


def _known(name: str) -> bool:
    from . import memory_stat
    from .columns import FAMILIES

    return name in {each for one in FAMILIES for each in (one.full_name, one.sample)} or memory_stat.known(name)
