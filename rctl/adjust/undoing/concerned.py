"""The cgroups of an adjustment, and their names for people: also of those that are gone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress

from ...cgroupfs.tree import Tree
from ...errors import RctlError
from ..records.following import followed
from ..records.history import Record
from ..records.stable_name import CONTAINERS
from ..site import Site
from ..steps import Enable, Renew

_NAMED = 8
"""Most cgroups that are named in the command that forgets their limits."""


def paths(record: Record) -> list[str]:
    """The cgroups of the adjustment; if it only enabled controllers, the cgroups for which it did."""
    return list(dict.fromkeys(s.path for s in record.steps if not isinstance(s, Enable | Renew))) or list(record.inodes)


def learn_names(tree: Tree, record: Record) -> None:
    """Show units and containers by their names, also those that are gone."""
    if foreign := [path for path in paths(record) if not tree.managed(path)]:
        from ...names.identify import learn

        learn(tree, foreign)


def called(tree: Tree, record: Record) -> dict[str, str]:
    """The names of its cgroups for people, by path: of containers, as they were called then."""
    learn_names(tree, record)
    known = record.names or {}
    return {path: known.get(path) or tree.name(path) for path in paths(record)}


def still_desired(site: Site, records: Sequence[Record]) -> str:
    """A sentence with the way to forget what adjustments still ask for; empty if that is nothing.

    It is about others' cgroups: a container or a unit that is started anew is to have the limits.
    """
    tree, names = site.tree, dict[str, None]()
    with suppress(RctlError, OSError):  # of a newer rctl, or a disk that fails
        found = followed(site.state)
        asked = [ve for record in records for ve, _, _ in found.layers_of(record.id) if not tree.managed(ve.path)]
        for record in records:
            learn_names(tree, record)
        for name, ve in found.ves.items():
            if any(ve is one for one in asked):
                names[name if name.startswith(CONTAINERS) else tree.name(ve.path)] = None
    if not names:
        return ""
    more = f" ..., {len(names)} in all" if len(names) > _NAMED else ""
    return f"If they are to get these limits no more: rctl forget {shlex.join([*names][:_NAMED])}{more}"
