"""The writer ``systemd``: the limits of a unit are set as properties of its manager, the system's or a user's.

The manager stores each property in a drop-in, and writes the interface files itself. A *form* is a JSON list of
``[property, value, where]``. ``where`` is ``stored`` (in the unit's drop-ins, for good), ``runtime`` (until the next
boot) or empty (the unit's own files or the default have it). See systemd.resource-control(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ...cgroupfs import marks
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree, enabled
from ...controllers import core
from ...errors import NotAvailableError, RctlError
from ...formats import File, Write
from ...limits import file_named
from ...systemd import properties
from ...systemd.properties import Value
from .. import owner
from ..enabling import enable
from ..steps import Enable, Set, SetThrough

if TYPE_CHECKING:
    from ...names.owners import Owner
    from ...systemd.bus import Bus, Property

NAME = "systemd"
STORED, RUNTIME = "stored", "runtime"
_DROP_IN = re.compile(r"/(?:system\.control|user\.control|transient)/[^/]+\.d/50-([A-Za-z]+)\.conf")
_USER = re.compile(r".*/user@([0-9]+)\.service/")
StoredProperty = tuple[str, Value, str]
"""A property, its value, and where it is stored."""
_FORM = msgspec.json.Decoder(list[StoredProperty])


class _Unit(NamedTuple):
    """A unit: its name, and the user of its manager; ``None``: the system's."""

    name: str
    uid: int | None

    @property
    def kind(self) -> str:
        """The D-Bus interface of its own properties."""
        return self.name.rpartition(".")[2].capitalize()

    @property
    def bus(self) -> Bus:
        """The connection to its manager; open until this process ends."""
        return _bus(self.uid, os.getpid())

    @property
    def version(self) -> int:
        """Its manager's version."""
        return _version(self.uid)


@cache
def _bus(uid: int | None, _pid: int) -> Bus:
    from ...systemd.bus import Bus

    return Bus(uid)


@cache
def _version(uid: int | None) -> int:
    [(_, text)] = _bus(uid, os.getpid()).call(
        "Get", "ss", "org.freedesktop.systemd1.Manager", "Version", interface="org.freedesktop.DBus.Properties"
    )
    found = re.match(r"[0-9]+", text)
    return int(found[0]) if found else 0


def present() -> bool:
    """True if systemd runs this host."""
    return owner.applies()


def check(tree: Tree, path: str) -> None:
    """Check that the cgroup is a unit of a manager that rctl can reach. Raises NotAvailableError if not."""
    if not owner.applies():
        raise NotAvailableError(f"{path}: systemd does not run this host")
    from ...names.owners import owner_of

    found = owner_of(path, marks.reader(tree))
    if found.manager.kind == "other":
        raise NotAvailableError(
            f"{path}: belongs to another systemd, the one below {found.manager.at}, which would undo the change. "
            "Run rctl there"
        )
    if not found.is_unit or found.free:
        raise NotAvailableError(_no_unit(found))


def _no_unit(found: Owner) -> str:
    if found.unit:
        return f"{found.path}: is a part of {found.unit}. Name the unit, or give it Delegate=yes"
    return f"{found.path}: is no unit of systemd"


def expresses(write: Write, path: str) -> bool:
    """True if a property sets this entry, or comes with one that does."""
    return write.if_there or bool(properties.names(write.file, _at(path).version))


def resets(file: File, path: str) -> bool:
    """True if the manager sets the file back to a value of its own."""
    return properties.resets(file, _at(path).version)


def missing(tree: Tree, path: str, file: File) -> list[Enable]:
    """No steps: the manager enables the controllers that its properties need.

    Raises NotAvailableError if this host lacks the controller, or the kernel the file.
    """
    with tree.walk(path) as cgroup:
        if file.controller in enabled(cgroup, core.CONTROLLERS) or file.controller not in enabled(
            tree.root, core.CONTROLLERS
        ):
            raise NotAvailableError(enable.absent(file, path))
    return []


def kept(cgroup: Cgroup, writes: Sequence[Write], runtime: bool) -> Sequence[str]:
    """The present properties of these entries, and where they are stored.

    Raises NotAvailableError if a value ``runtime`` would lose against a stored one at the next daemon-reload.
    """
    unit = _at(cgroup.path)
    if unit.uid is None and os.geteuid():
        unit.bus.set(unit.name, [], runtime=True)  # changes nothing, and needs the right to
    wanted = [properties.names(write.file, unit.version) for write in writes]
    seen = _Seen.of(unit, {name for group in wanted for name in group})
    found = []
    for write, group in zip(writes, wanted, strict=True):
        entries = [seen.entry(name, write.key) for name in group]
        if runtime and (stored := next((name for name, _, where in entries if where == STORED), None)):
            raise NotAvailableError(
                f"{write.file.name}: {stored}= of {unit.name} is stored for good, and would come back at the next "
                "daemon-reload. Leave out --runtime"
            )
        found.append(_text(entries))
    return found


def form(file: File, key: str, entry: str, runtime: bool) -> str:
    """The properties of an entry that is set to a value."""
    where = RUNTIME if runtime else STORED
    found = properties.values(file, key, entry).items()
    return _text((name, value, where if value is not None else "") for name, value in found)


def write(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Set all properties in one call, for each place where they are stored; read the files back.

    Returns a note for each file of the unit that has the last word at the next daemon-reload.
    """
    unit = _at(cgroup.path)
    wanted = [(step, entry) for step in steps if isinstance(step, SetThrough) for entry in _entries(step.own)]
    seen = _Seen.of(unit, {name for _, (name, _, _) in wanted})
    for stored in (True, False):
        given = [(step.key, entry) for step, entry in wanted if (seen.place(entry) == STORED) is stored]
        if given:
            unit.bus.set(unit.name, seen.properties(given), runtime=not stored)
    _tidy(unit, [entry for _, entry in wanted])
    for step in steps:
        _check_file(cgroup, step, unit)
    set_anew = [entry for _, entry in wanted if entry[2]]
    return [*seen.overruled(unit, set_anew), *(_forgotten(cgroup.path) if set_anew else ())]


def _check_file(cgroup: Cgroup, step: Set, unit: _Unit) -> None:
    file = file_named(step.file)
    text = cgroup.read_if_there(step.file)
    got = file.entry(text, step.key)
    if got != step.new and not file.holds(got, step.new):
        raise RctlError(
            f"{step.file}: systemd was asked for {step.new!r} on {unit.name}, and the kernel shows {got!r}. "
            f"See journalctl -u {unit.name}"
        )


def _forgotten(path: str) -> list[str]:
    """A note if the unit belongs to a container, whose manager stores limits of its own."""
    from ...names.owners import owner_of

    found = owner_of(path, lambda _: False)
    if found.container is None:
        return []
    who = found.kind
    return [f"{path}: {who} does not know these limits. When the container starts again, it has those of {who}"]


def _at(path: str) -> _Unit:
    """The unit of a cgroup that ``check`` let pass."""
    user = _USER.match(path)
    return _Unit(path.rpartition("/")[2].removeprefix("_"), int(user[1]) if user else None)


def _text(entries: Iterable[StoredProperty]) -> str:
    found = list(entries)
    return msgspec.json.encode(found).decode() if found else ""


def _entries(text: str) -> list[StoredProperty]:
    return _FORM.decode(text) if text else []


class _Seen(NamedTuple):
    """Properties of a unit, as its manager has them, and its drop-ins."""

    values: Mapping[str, Any]
    drop_ins: Sequence[str]

    @classmethod
    def of(cls, unit: _Unit, names: Iterable[str]) -> _Seen:
        """Ask the manager. Raises NotAvailableError if it does not answer."""
        wanted = sorted(names)
        found = unit.bus.get(unit.name, unit.kind, map(properties.on_bus, wanted))
        about = unit.bus.get(unit.name, "Unit", ("DropInPaths",)).get("DropInPaths", ())
        there = [path for path in about if os.path.exists(path)]  # the list has removed ones until the next reload
        return cls({name: found[properties.on_bus(name)] for name in wanted}, there)

    def entry(self, name: str, key: str) -> StoredProperty:
        """A property, for the device ``key`` if it is a list of devices."""
        raw, where = self.values[name], self.where(name)
        if not properties.by_device(name):
            return name, properties.from_bus(name, raw), where
        value = next((value for device, value in raw if _number(device) == key), None)
        return name, value, where if value is not None else ""

    def place(self, entry: StoredProperty) -> str:
        """Where a property is to be stored: a list of devices where it is now if one of them is to be left out."""
        name, value, where = entry
        return where or (self.where(name) if value is None else "")

    def where(self, name: str) -> str:
        """Where set-property stored the property; empty: nowhere."""
        stored = [path for path in self.drop_ins if (found := _DROP_IN.search(path)) and found[1] in _files(name)]
        if any(not path.startswith("/run/") or "/transient/" in path for path in stored):
            return STORED
        return RUNTIME if stored else ""

    def properties(self, wanted: Sequence[tuple[str, StoredProperty]]) -> list[Property]:
        """The properties for D-Bus. A device that is to be left out needs a new list of all others."""
        found: list[Property] = []
        lists: dict[str, dict[str, Value]] = {}
        for key, (name, value, _) in wanted:
            if properties.by_device(name):
                lists.setdefault(name, {})[key] = value
            else:
                found.append((properties.on_bus(name), (properties.signature(name), properties.to_bus(name, value))))
        for name, devices in lists.items():
            bus, kind_ = properties.on_bus(name), properties.signature(name)
            pairs = [(_node(key), value) for key, value in devices.items() if value is not None]
            unset = {key for key, value in devices.items() if value is None}
            if unset.intersection(_number(device) for device, _ in self.values[name]):
                others = [(device, value) for device, value in self.values[name] if _number(device) not in devices]
                found.append((bus, (kind_, [])))
                pairs = [*others, *pairs]
            if pairs:
                found.append((bus, (kind_, pairs)))
        return found

    def overruled(self, unit: _Unit, entries: Sequence[StoredProperty]) -> list[str]:
        """Notes about drop-ins that set the same property and are read after rctl's."""
        return [
            f"{unit.name}: {path} sets {name}=, too, and wins at the next daemon-reload. Change it there"
            for name, _, _ in entries
            for path in self.drop_ins
            if os.path.basename(path) > f"50-{name}.conf" and not _DROP_IN.search(path) and _sets(path, name)
        ]


def _files(name: str) -> tuple[str, str]:
    """The names that systemd gives the drop-in of a property."""
    return name, properties.on_bus(name)


def _sets(path: str, name: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            return any(re.match(rf"\s*{name}\s*=", line) for line in lines)
    except OSError:
        return False


def _tidy(unit: _Unit, entries: Sequence[StoredProperty]) -> None:
    """Remove the drop-ins that only put a value back that was stored nowhere before, or for good."""
    unset = {name for name, _, where in entries if where == ""}
    if lists := [name for name in unset if properties.by_device(name)]:
        full = unit.bus.get(unit.name, unit.kind, map(properties.on_bus, lists))
        unset -= {name for name in lists if full[properties.on_bus(name)]}  # other devices are still in it
    only_stored = {name for name, _, where in entries if where == STORED}
    only_runtime = {name for name, _, where in entries if where == RUNTIME}
    if not unset | only_stored | only_runtime:
        return
    about = unit.bus.get(unit.name, "Unit", ("DropInPaths",))
    for path in about.get("DropInPaths", ()):
        found = _DROP_IN.search(path)
        if found is None:
            continue
        volatile = path.startswith("/run/") and "/transient/" not in path
        for name in unset | (only_stored if volatile else only_runtime):
            if found[1] in _files(name):
                with suppress(FileNotFoundError):
                    os.unlink(path)


def _number(device: str) -> str:
    """MAJOR:MINOR of a device node; empty if it is none."""
    try:
        facts = os.stat(device)
    except OSError:
        return ""
    return f"{os.major(facts.st_rdev)}:{os.minor(facts.st_rdev)}"


def _node(number: str) -> str:
    """The device node of MAJOR:MINOR, by its usual name."""
    try:
        with open(f"/sys/dev/block/{number}/uevent", encoding="utf-8") as lines:
            name = next(line[8:].strip() for line in lines if line.startswith("DEVNAME="))
        if _number(f"/dev/{name}") == number:
            return f"/dev/{name}"
    except (OSError, StopIteration):
        pass
    return f"/dev/block/{number}"
