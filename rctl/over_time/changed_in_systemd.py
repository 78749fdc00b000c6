"""Finds the limits of units that were changed in systemd: by ``systemctl set-property``, or a program that asks it."""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from ..adjust import owner, writers
from ..cgroupfs.tree import Tree
from ..errors import NotAvailableError
from ..systemd import drop_ins, properties
from ..systemd.unit import Unit
from ..systemd.unit_properties import UnitProperties
from .drifting import Difference, Drifted


def with_properties(tree: Tree, one: Drifted) -> Drifted:
    """The VE, with systemd's properties in those differences that it made itself.

    A limit that another program wrote to the file of a unit differs from what systemd has, so it stays as it is here.
    docker and podman change limits through systemd, too. So of a container, the property does not tell who did it: only
    the time is noted.
    """
    from ..names.owners import owner_of

    if writers.only_files(one.path) or all(each.cause != "changed" for each in one.differences):
        return one
    try:
        if not any(writer.NAME == "systemd" for writer in writers.of(tree, one.path)):
            return one
        unit = Unit.at(one.path)
        found = tuple(_with(unit, each) for each in one.differences)
    except NotAvailableError:
        return one
    if len(one.path) > owner.SHORT and owner_of(one.path, lambda _: False).container:
        found = tuple(msgspec.structs.replace(each, systemd=()) for each in found)
    return msgspec.structs.replace(one, differences=found)


def _with(unit: Unit, one: Difference) -> Difference:
    names = properties.names_at(one.file, one.device, unit.version)
    if not names or one.cause != "changed":
        return one
    seen = UnitProperties.of(unit, names)
    has = {name: seen.entry(name, one.device)[1] for name in names}
    wished, found = (_values(one, entry) for entry in (one.desired, one.written))
    changed = tuple(name for name in names if name in found and has[name] == found[name] != wished.get(name))
    if not changed:
        return one
    return msgspec.structs.replace(one, systemd=changed, changed_at=_stored_at(unit, changed, one.set_at))


def _values(one: Difference, entry: str) -> dict[str, properties.Value]:
    with suppress(ValueError):
        return properties.values(one.file, one.device, entry)
    return {}


def _stored_at(unit: Unit, names: tuple[str, ...], after: float) -> float | None:
    """When the newest drop-in of these properties was written, in seconds since 1970; ``None``: before, or by none."""
    times = []
    for _, folder in drop_ins.folders(unit):
        for name in names:
            for file in drop_ins.files(name):
                with suppress(OSError):
                    times.append(os.stat(f"{folder}/{file}").st_mtime)
    return max((moment for moment in times if moment > after), default=None)
