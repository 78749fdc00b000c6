"""Forgets desired limits: of containers that never come back, or of VEs that another program looks after now."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from ..adjust.records.checkpoint import desired_limits
from ..adjust.records.journal import new_id
from ..adjust.records.record_format import Record, version_of
from ..adjust.records.stable_name import CONTAINERS
from ..adjust.request import Options
from ..adjust.site import Site
from ..adjust.steps import Forget
from .drifting import chosen, find_again, learn_names
from .timers import note


def forget(site: Site, options: Options, patterns: Sequence[str]) -> tuple[str, ...]:
    """Forget the desired limits of VEs; what they have now stays. Returns their names.

    Raises NotFoundError for a pattern that matches no VE with desired limits.
    """
    ves = chosen(site, desired_limits(site.state), patterns)
    steps = tuple(Forget(ve.path) for ve in ves.values())
    if steps and not options.dry_run:
        record = Record(new_id(), time.time(), site.boot_id, options.command, {}, steps, version=version_of(steps))
        names = {ve.path: name for name, ve in ves.items() if name.startswith(CONTAINERS)}
        note(site, msgspec.structs.replace(record, names=names) if names else record)
    for name, ve in ves.items():
        find_again(site, name, ve)
    learn_names(site.tree, ves.values())
    return tuple(name if name.startswith(CONTAINERS) else site.tree.name(ve.path) for name, ve in ves.items())
