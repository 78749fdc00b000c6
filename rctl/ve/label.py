"""Labels VEs. The history notes it, so that a VE that is made anew gets its labels back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from ..adjust.records.history import append
from ..adjust.records.journal import new_id
from ..adjust.records.record_format import Record, encode, version_of
from ..adjust.site import Site
from ..adjust.steps import Label
from ..cgroupfs import labels
from ..errors import RctlError


def label(
    site: Site, names: Iterable[str], pairs: Mapping[str, str], remove: Iterable[str] = (), command: str = ""
) -> dict[str, dict[str, str]]:
    """Set and remove labels of VEs, all or nothing. Returns all labels of each. Raises as ``labels.put``."""
    gone = frozenset(remove) - pairs.keys()
    before: dict[str, dict[str, str]] = {}
    inodes: dict[str, int] = {}
    for name in names:
        with site.tree.open_ve(name) as ve:
            before[name] = labels.of(ve)
            inodes[ve.path] = ve.ino
    begun: list[str] = []
    try:
        for name in before if pairs or gone else ():
            begun.append(name)
            with site.tree.open_ve(name) as ve:
                labels.put(ve, pairs, gone)
    except BaseException:
        for name in begun:
            with suppress(RctlError), site.tree.open_ve(name) as ve:
                labels.restore(ve, before[name])
        raise
    merged = {name: sorted((old | dict(pairs)).items()) for name, old in before.items()}
    after = {name: {key: value for key, value in found if key not in gone} for name, found in merged.items()}
    _note(site, before, after, inodes, command)
    return after


def _note(
    site: Site,
    before: Mapping[str, Mapping[str, str]],
    after: Mapping[str, Mapping[str, str]],
    inodes: dict[str, int],
    command: str,
) -> None:
    """Add the changes to VEs of rctl's own to the history. If it cannot take them, a note says so."""
    steps = [
        Label(path, key, old.get(key), new.get(key), noted=True)
        for name, old in before.items()
        if site.tree.managed(path := site.tree.path(name))
        for new in [after[name]]
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if not steps:
        return
    touched = {step.path: inodes[step.path] for step in steps}
    version = version_of(steps, lasting=True)
    record = Record(new_id(), time.time(), site.boot_id, command, touched, tuple(steps), version=version)
    try:
        append(site.state, site.state.history, encode(record))
    except (RctlError, OSError) as error:
        site.tell(f"the labels are set; the history cannot note them, so rctl restore will not know them: {error}")
