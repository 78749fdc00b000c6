"""VEs removed by name or pattern, as one transaction, with a word for each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..adjust.account import Outcome
from ..adjust.request import Options
from ..adjust.site import Site
from . import bare

NOT_THERE, LEFT_ALONE = "not there", "left alone"


class Removal(msgspec.Struct, frozen=True):
    """``told``: what became of each VE, by name, for people. ``notes``: for people, too."""

    told: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all of them are gone now that were there before."""
        return not {NOT_THERE, LEFT_ALONE}.intersection(self.told.values())


def remove(site: Site, names: Sequence[str], options: Options, *, kill: bool) -> Removal:
    """Remove VEs; ``kill``: end their processes first. One that is not there is told, the others go.

    Raises BusyError when one has processes and ``kill`` is not given; all are left alone then. UsageError for a foreign
    one.
    """
    there = [name for name in names if bare.managed_path(site.tree, name) and bare.exists(site.tree, name)]
    account = bare.remove_all(site, there, options, kill)
    told = dict.fromkeys(names, NOT_THERE)
    for one in account.outcomes:
        told[one.name] = bare.would_go(site.tree, one.name) if options.dry_run else _removed(one)
    return Removal(told, account.notes)


def _removed(outcome: Outcome) -> str:
    killed = sum(getattr(step, "inside", 0) for step in outcome.steps) if outcome.status == "removed" else 0
    return f"removed, {killed} process(es) killed" if killed else outcome.status
