"""The writer ``systemd``: the limits of a unit are set as properties of its manager, the system's or a user's.

The manager stores each property in a drop-in, and writes the interface files itself. A *form* is a JSON list of
``[property, value, where]``. ``where`` is ``stored`` (in the unit's drop-ins, for good), ``runtime`` (until the next
boot) or empty (the unit's own files or the default have it). See systemd.resource-control(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ...cgroupfs import marks
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree, enabled
from ...cgroupfs.ve_cgroups import is_unit
from ...controllers import core
from ...errors import KernelError, NotAvailableError, RctlError
from ...formats import File, Write
from ...limits import file_named
from ...systemd import drop_ins, properties, unit_properties
from ...systemd.drop_ins import RUNTIME, STORED, DropIns, last_line
from ...systemd.properties import PERCENT, Value
from ...systemd.unit import Unit
from ...systemd.unit_properties import StoredProperty, UnitProperties
from .. import cpuset_lists, owner
from ..enabling import enable
from ..steps import Enable, Set, SetThrough
from . import files
from .base import PutBack

if TYPE_CHECKING:
    from ...names.owners import Owner

NAME = "systemd"
STORES_ONLY = False
_FORM, _ENCODED = msgspec.json.Decoder(list[StoredProperty]), msgspec.json.Encoder().encode


def check(tree: Tree, path: str) -> None:
    """Check that the cgroup is a unit of a manager that rctl can reach. Raises NotAvailableError if not."""
    if not owner.applies():
        raise NotAvailableError(f"{path}: systemd does not run this host")
    if is_unit(path):
        return
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


def expressible(cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
    """Those of the entries that a property sets, or that come with one that does."""
    version = Unit.at(cgroup.path).version
    return [write for write in writes if write.if_there or properties.names(write.file, version)]


def resets(file: File, path: str) -> bool:
    """True if the manager sets the file back to a value of its own."""
    return properties.resets(file, Unit.at(path).version)


def missing(tree: Tree, path: str, file: File) -> list[Enable]:
    """No steps: the manager enables the controllers that its properties need.

    Raises NotAvailableError if this host lacks the controller, or the kernel the file.
    """
    if (uid := Unit.at(path).uid) is not None:
        _check_handed_down(tree, path, file, uid)
    with tree.walk(path) as cgroup:
        if file.controller in enabled(cgroup, core.CONTROLLERS) or file.controller not in enabled(
            tree.root, core.CONTROLLERS
        ):
            raise NotAvailableError(enable.absent(file, path))
    return []


def _check_handed_down(tree: Tree, path: str, file: File, uid: int) -> None:
    """Raise NotAvailableError if the user's manager has not got the controller that the file needs."""
    with tree.walk(path[: path.index("/user@")] + f"/user@{uid}.service") as manager:
        if file.controller in enabled(tree.root, core.CONTROLLERS) - enabled(manager, core.CONTROLLERS):
            raise NotAvailableError(
                f"{file.name}: systemd does not give the {file.controller} controller to user {uid}. {owner.TO_USERS}"
            )


def kept(cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]) -> Sequence[str]:
    """The present properties of these entries, and where they are stored.

    Raises NotAvailableError if a value ``runtime`` would lose against a stored one at the next daemon-reload.
    """
    unit = Unit.at(cgroup.path)
    if unit.uid is None and os.geteuid():
        try:
            unit.bus.set(unit.name, [], runtime=True)  # changes nothing, and needs the right to
        except NotAvailableError as error:
            raise NotAvailableError(f"{unit.name}: {error}") from None
    unit.reach()  # a systemd that is away is told before anything is changed, also if it need not be asked
    own = is_unit(cgroup.path)  # what is stored for a VE of rctl's own goes with its unit
    version = unit.version
    wanted = [properties.names_at(write.file, write.key, version) for write in writes]
    seen = UnitProperties.of(unit, {name for group in wanted for name in group}, _shown(writes, texts), own=own)
    notes += [f"{unit.name}: {line} depends on the host. An undo puts back the present value" for line in seen.shares()]
    lasting = seen.transient  # all it has is stored as long as it can be
    found = []
    for write, group in zip(writes, wanted, strict=True):
        entries = [seen.entry(name, write.key) for name in group]
        if runtime and not own and (stored := next((name for name, _, where in entries if where == STORED), None)):
            raise NotAvailableError(
                f"{write.file.name}: {stored}= of {unit.name} is stored for good, and would come back at the next "
                "daemon-reload. Leave out --runtime"
            )
        if not runtime and lasting:
            entries = [(name, value, STORED if where else "") for name, value, where in entries]
        found.append(_text(entries))
    return found


def _shown(writes: Sequence[Write], texts: Texts) -> dict[str, Value]:
    """The values of properties as the files show them; without lists of devices."""
    found: dict[str, Value] = {}
    for write in writes:
        if write.key in ("", "default"):
            entry = write.file.entry(texts[write.file.name], write.key)
            try:
                found |= properties.values(write.file, write.key, entry)
            except ValueError:
                continue  # it has none
    return found


def by_itself(cgroup: Cgroup, writes: Sequence[Write]) -> list[bool]:
    """For each entry, whether the unit has it and nobody has set it since: by default, or from the unit's own file."""
    found = []
    for write, text in zip(writes, kept(cgroup, writes, False, Texts(cgroup), []), strict=True):
        there = {name: value for name, value, where in _entries(text) if not where}
        wanted = properties.values(write.file, write.key, write.wanted)
        found.append(bool(wanted) and all(there.get(name, ...) == value for name, value in wanted.items()))
    return found


def form(file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
    """The properties of an entry that is set to a value. Over a stored one, a value until the next boot would lose."""
    where = RUNTIME if runtime and not for_good(kept) else STORED
    found = properties.values(file, key, entry).items()
    return _text([(name, value, where if value is not None else "") for name, value in found])


def for_good(form: str) -> bool:
    """True if a property of the form is stored for good, or as long as a transient unit can."""
    return any(where == STORED for _, _, where in _entries(form))


def outlives_boot(step: SetThrough) -> bool:
    """True if the step stores a property that still counts after a boot."""
    return step.writer == NAME and for_good(step.own) and not DropIns.of(Unit.at(step.path)).transient


def write(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Set all properties in one call, for each place where they are stored; read the files back.

    Returns notes on what the next daemon-reload will change: what could not be stored, what is stored rounded, and what
    another file of the unit sets.
    """
    unit = Unit.at(cgroup.path)
    wanted = [(step, entry) for step in steps if isinstance(step, SetThrough) for entry in _entries(step.own)]
    since = time.time_ns()
    try:
        known = _set(unit, [(step.key, entry) for step, entry in wanted])
    except RctlError as error:
        raise _about(error, unit, wanted) from None
    texts = cgroup.texts([step.file for step in steps])
    notes: list[str] = []
    for step in steps:
        file = file_named(step.file)
        got = file.entry(texts.get(step.file), step.key)
        if got != step.new and not file.holds(got, step.new):
            placed = any(one is step and where for one, (_, _, where) in wanted)
            notes += _finish(cgroup, step, unit, got, not placed or _has_another(file, step))
    set_anew = {name: value for _, (name, value, where) in wanted if where}
    stored = {name: value for _, (name, value, where) in wanted if where == STORED}
    notes += _not_stored(unit, stored, known, since)
    return [*notes, *_rounded(unit, set_anew.get("CPUQuota")), *_overruled(unit, known, set_anew)]


def _about(error: RctlError, unit: Unit, wanted: Sequence[tuple[SetThrough, StoredProperty]]) -> RctlError:
    """The refusal of a value with the limits and the unit that it is about: systemd names its own property alone."""
    from ...systemd.bus import BusError

    if not isinstance(error, BusError):
        return error
    said = str(error)
    about = dict.fromkeys(step.file for step, (name, _, _) in wanted if name in said)
    return BusError(error.name, ": ".join([unit.name, *([", ".join(about)] if about else []), said]))


def _set(unit: Unit, wanted: Sequence[tuple[str, StoredProperty]]) -> list[str]:
    """Set properties, with the key of their entry, in one call for each place where they are stored.

    Returns the drop-ins of the unit that its manager knows.
    """
    lists = {name for _, (name, _, _) in wanted if properties.by_device(name)}
    seen = UnitProperties.of(unit, lists) if lists else UnitProperties(unit, {})
    stored: list[tuple[str, StoredProperty]] = []
    passing: list[tuple[str, StoredProperty]] = []
    for key, entry in wanted:
        (stored if unit_properties.place(unit, entry) == STORED else passing).append((key, entry))
    known: list[str] = []
    for given in (stored, passing):
        if given:
            known = unit.bus.set(unit.name, seen.to_set(given), runtime=given is passing)
    unit_properties.tidy(unit, [entry for _, entry in wanted], known)
    return known


def outlives(path: str) -> bool:
    """True if the unit has a file of its own: then its drop-ins stay.

    Raises NotAvailableError if its manager is gone, and drop-ins are there for its return.
    """
    unit = Unit.at(path)
    try:
        about = unit.bus.get(unit.name, "Unit", ("LoadState", "Transient"))
    except NotAvailableError:
        if DropIns.of(unit).files:
            raise
        return False
    return about.get("LoadState") == "loaded" and not about.get("Transient")


def put_back(path: str, step: SetThrough) -> PutBack:
    """Set the old properties of a unit that runs no more, or was started anew, if it still has the new ones."""
    unit, new, old = Unit.at(path), _entries(step.own), _entries(step.kept)
    seen = UnitProperties.of(unit, {name for name, _, _ in (*new, *old)})

    def has(entries: Sequence[StoredProperty]) -> bool:
        return all(seen.entry(name, step.key)[:2] == (name, value) for name, value, _ in entries)

    if has(new):
        _set(unit, [(step.key, entry) for entry in old])
        return "put back"
    return "put back" if has(old) else "changed"


def set_besides(cgroup: Cgroup, steps: Sequence[Set]) -> None:
    """Set entries of a unit until it starts again, because another owner has stored them and not set them."""
    unit = Unit.at(cgroup.path)
    entries = [
        (step.key, (name, value, ""))
        for step in steps
        for name, value in properties.values(file_named(step.file), step.key, step.new).items()
    ]
    unit.bus.set(unit.name, UnitProperties(unit, {}).to_set(entries), runtime=True)


def _has_another(file: File, step: Set) -> bool:
    """True if the manager is to have another value than the file: somebody had written to the file."""
    own = {name: value for name, value, _ in _entries(step.own)} if isinstance(step, SetThrough) else {}
    with suppress(ValueError):
        return any(own.get(name) != value for name, value in properties.values(file, step.key, step.new).items())
    return False


def _finish(cgroup: Cgroup, step: Set, unit: Unit, got: str, differs: bool) -> list[str]:
    """The file has another value, ``got``: an error, unless it ``differs`` from the manager's, which may have none.

    Then the file keeps what somebody else writes to it until the next daemon-reload. So it gets the value itself.
    Returns notes for people.
    """
    if differs:
        return files.write_at_once(cgroup, step)
    if number := cpuset_lists.no_such(step.file, step.new):
        raise KernelError(cgroup.path, step.file, step.new, number)
    raise RctlError(
        f"{step.file}: systemd was asked for {step.new!r} on {unit.name}, and the kernel shows {got!r}. "
        f"See journalctl -u {unit.name}"
    )


def _not_stored(unit: Unit, values: Mapping[str, Value], known: Sequence[str], since: int) -> list[str]:
    """A note if the manager has set properties and could not store them, as where /etc is read-only."""
    names = drop_ins.not_stored(unit, values, known, since) if values else []
    if not names:
        return []
    [(_, folder), *_] = drop_ins.folders(unit)
    return [
        f"{unit.name}: systemd could not store {', '.join(f'{name}=' for name in names)} in {os.path.dirname(folder)}. "
        "The next daemon-reload undoes the change. Make that folder writable, or use --runtime"
    ]


def _rounded(unit: Unit, quota: Value) -> list[str]:
    """A note if a daemon-reload will change the CPU limit: a drop-in has it in per cent, rounded down."""
    if not isinstance(quota, int) or quota == properties.INFINITY or not quota % PERCENT:
        return []
    [*_, (_, path)] = DropIns.of(unit).of_property("CPUQuota") or [("", "")]
    stored = last_line(path) if path else ""
    if not stored or stored in properties.lines("CPUQuota", quota):
        return []
    return [
        f"{unit.name}: systemd stores this CPU limit as {stored}, so cpu.max is {stored.partition('=')[2]} after the "
        "next daemon-reload"
    ]


def _overruled(unit: Unit, known: Sequence[str], names: Collection[str]) -> list[str]:
    return [
        f"{unit.name}: {path} sets {name}=, too, and wins at the next daemon-reload. Change it there"
        for path, name in unit_properties.overruled(unit, known, names)
    ]


def _text(entries: Sequence[StoredProperty]) -> str:
    return _ENCODED(entries).decode() if entries else ""


def _entries(text: str) -> list[StoredProperty]:
    return _FORM.decode(text) if text else []
