"""The bare calls that set limits of units: one ``SetUnitProperties`` for each unit, and reads of the same files."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...limits import file_named
from ...systemd import properties
from ...systemd.bus import Property
from ...systemd.unit import Unit
from .bare_calls import Text, read_bare, write_bare


def split(texts: Sequence[Text]) -> tuple[list[Text], list[Property], list[Text]]:
    """All texts; the properties that set some of them; the texts of those files that have no property."""
    found: list[Property] = []
    rest: list[Text] = []
    for name, text in texts:
        file = file_named(name)
        key = "default" if text.startswith("default ") else ""
        values = properties.values(file, key, file.entry(text, key)) if properties.names(file, 252) else {}
        if not values:
            rest.append((name, text))
        for each, value in values.items():
            bus = properties.on_bus(each), (properties.signature(each), properties.to_bus(each, value))
            found.append(bus)
    return list(texts), found, rest


def set_bare(
    root: int, paths: Sequence[str], texts: Sequence[Text], given: Sequence[Property], rest: Sequence[Text]
) -> float:
    """Set the properties and the other files of each unit, with each file read before and after; returns the seconds.

    ``root``: the mount's descriptor.
    """
    begin = time.perf_counter()
    for path in paths:
        unit = Unit.at(path)
        for name, _ in texts:
            read_bare(root, f"{path[1:]}/{name}")
        unit.bus.set(unit.name, given, runtime=True)
        for name, text in rest:
            write_bare(root, f"{path[1:]}/{name}", text)
        for name, _ in texts:
            read_bare(root, f"{path[1:]}/{name}")
    return time.perf_counter() - begin
