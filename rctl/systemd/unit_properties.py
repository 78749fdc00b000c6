"""The properties of a unit as its manager has them now, with the place where each is stored."""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ..bounded import content
from ..errors import UsageError
from . import drop_ins, properties
from .drop_ins import RUNTIME, STORED, DropIns, PropertyDropIns, place_of
from .properties import Value
from .unit import Unit

if TYPE_CHECKING:
    from .bus import Property

StoredProperty = tuple[str, Value, str]
"""A property, its value, and where it is stored: ``STORED``, ``RUNTIME``; empty: nowhere, or not said."""


class UnitProperties(msgspec.Struct, frozen=True):
    """Some properties of a unit: by name, as D-Bus has them, and their drop-ins. What was not asked for is missing.

    ``asked``: those that the manager was asked for. ``transient``: see ``DropIns``.
    """

    unit: Unit
    values: Mapping[str, Any]
    drop_ins: Mapping[str, PropertyDropIns] = {}
    asked: Sequence[str] = ()
    transient: bool = False

    @classmethod
    def of(cls, unit: Unit, names: Iterable[str], shown: Mapping[str, Value] = {}, *, own: bool = False) -> Self:
        """Ask the manager. Raises NotAvailableError if it does not answer.

        ``shown``: values that the kernel's files show. If the drop-in of a property has the same value, the manager has
        it, too, and is not asked: a question costs as much as all else that rctl does for a limit. ``own``: the unit is
        a VE of rctl's own. Whatever was written to its files counts, so drop-ins are not read.
        """
        there = DropIns.of(unit)
        stored = {name: there.of_property(name) for name in names}
        found = {
            name: value
            for name, value in shown.items()
            if len(stored.get(name, ())) == 1 and (own or _has(stored[name][0][1], name, value))
        }
        if asked := sorted(stored.keys() - found.keys()):
            answers = unit.bus.get(unit.name, unit.kind, map(properties.on_bus, asked))
            found |= {name: answers[properties.on_bus(name)] for name in asked}
        return cls(unit, found, stored, asked, there.transient)

    def shares(self) -> list[str]:
        """The lines that store an amount in per cent of the host's; D-Bus has the amount alone."""
        stored = {path for name in self.asked if name != "CPUQuota" for _, path in self.drop_ins[name]}
        return [line for path in sorted(stored) if (line := drop_ins.last_line(path)).endswith("%")]

    def entry(self, name: str, key: str) -> StoredProperty:
        """A property, for the device ``key`` if it is a list of devices."""
        raw, where = self.values[name], place_of(self.drop_ins[name])
        if isinstance(raw, int | str):  # as the files show it; on D-Bus a list of CPUs is bytes
            return name, raw, where
        if not properties.by_device(name):
            return name, properties.from_bus(name, raw), where
        value = next((value for device, value in raw if _number(device) == key), None)
        return name, value, where if value is not None else ""

    def to_set(self, wanted: Sequence[tuple[str, StoredProperty]]) -> "list[Property]":
        """The properties, with the key of their entry, for D-Bus.

        A device that is to be left out needs a new list of all others.
        """
        found: list[Property] = []
        lists: dict[str, dict[str, Value]] = {}
        for key, (name, value, _) in wanted:
            if properties.by_device(name):
                lists.setdefault(name, {})[key] = value
            else:
                raw = value if type(value) is int else properties.to_bus(name, value)
                found.append((properties.on_bus(name), (properties.signature(name), raw)))
        for name, devices in lists.items():
            found += self._lists(name, devices)
        return found

    def _lists(self, name: str, devices: Mapping[str, Value]) -> "Iterable[Property]":
        """A list of devices: what is to be set. A device that is in the list keeps the path that it has there."""
        there = [(path, value, _number(path)) for path, value in self.values[name]]
        pairs = [
            (path, value)
            for key, value in devices.items()
            if value is not None
            for path in [path for path, _, number in there if number == key] or [_node(key)]
        ]
        bus, kind = properties.on_bus(name), properties.signature(name)
        if any(devices.get(number, True) is None for _, _, number in there):
            yield bus, (kind, [])
            pairs = [*((path, value) for path, value, number in there if number not in devices), *pairs]
        if pairs:
            yield bus, (kind, pairs)


def place(unit: Unit, entry: StoredProperty) -> str:
    """Where a property is to be stored: a list of devices where it is now if one of them is to be left out."""
    name, value, where = entry
    return where or (DropIns.of(unit).where(name) if value is None else "")


def overruled(unit: Unit, paths: Iterable[str], names: Collection[str]) -> list[tuple[str, str]]:
    """Drop-ins that set one of these properties, and win at the next daemon-reload: their path, and the property.

    ``paths``: all drop-ins of the unit.
    """
    found = drop_ins.others(unit, paths) if names else ()
    return [
        (path, name)
        for name in names
        for path in found
        if os.path.basename(path) > f"50-{name}.conf" and _sets(path, name)
    ]


def tidy(unit: Unit, entries: Sequence[StoredProperty], known: Iterable[str]) -> None:
    """Remove the drop-ins of properties that were put back to a value that was stored nowhere, or only elsewhere.

    ``known``: the drop-ins of the unit. A transient unit has them in one place.
    """
    unset = {name for name, _, where in entries if where == ""}
    if not unset and any(map(drop_ins.is_transient, known)):
        return
    if lists := [name for name in unset if properties.by_device(name)]:
        full = unit.bus.get(unit.name, unit.kind, map(properties.on_bus, lists))
        unset -= {name for name in lists if full[properties.on_bus(name)]}  # other devices are still in it
    drop_ins.remove(unit, {name: where for name, _, where in entries if where in (STORED, RUNTIME) or name in unset})


def _has(path: str, name: str, value: Value) -> bool:
    """True if a drop-in has this value."""
    return drop_ins.last_line(path) in properties.lines(name, value)


def _sets(path: str, name: str) -> bool:
    data = content(os.path.realpath(path))
    return data is not None and re.search(rb"^\s*%s\s*=" % name.encode(), data, re.MULTILINE) is not None


def _number(path: str) -> str:
    """MAJOR:MINOR of the disk of a device node or of any other file; empty if there is none."""
    from ..cgroupfs import devices

    try:
        return devices.resolve(path)
    except UsageError:
        return ""


def _node(number: str) -> str:
    """The device node of MAJOR:MINOR, by its usual name."""
    from ..cgroupfs import devices

    node = f"/dev/{devices.disk_name(number)}"
    return node if _number(node) == number else f"/dev/block/{number}"
