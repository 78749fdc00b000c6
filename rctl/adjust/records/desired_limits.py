"""The desired limits of every VE, and the timers: what all adjustments together ask for. Pure.

They are a fold over the history, oldest first (``take``), across boots and lives of a cgroup. A VE is known by its
stable name. Each entry is a stack of *layers*, one for each adjustment that set it, the newest on top. An undo, or the
end of a timer, takes the layers of its adjustment out, wherever they are. So what was desired before is desired again.
The adjustments of a rolling change, or of a ramp, are one wish: their layers have the id of the change.
"""

from __future__ import annotations

import msgspec

from ...controllers import core, cpu
from ...limits import file_named
from ..steps import Forget, Label, Make, Remove, Set, SetThrough, Start, Want, by_entry
from .record_format import Record
from .stable_name import stable_name

_MOST = 8
"""Most layers of an entry, besides timed ones. Below them, an undo finds the value in its own record."""


class Layer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The wish of one adjustment for one entry. ``time``: in seconds since 1970. ``old``: the value before.

    ``boot``: the only boot for which it is meant; empty: it lasts. For the end of a timer: ``beside``: entries that the
    kernel changed with it, with their values before; ``writer``, ``kept``: the writer that set it, and what its owner
    knew before; ``lasts``: False for states and verbatim text, which go back, and are not desired.
    """

    id: str
    time: float
    value: str
    old: str
    boot: str = ""
    beside: tuple[tuple[str, str], ...] = ()
    writer: str = ""
    kept: str = ""
    lasts: bool = True


class Stack(msgspec.Struct, gc=False, omit_defaults=True):
    """The layers of an entry, oldest first. ``cut``: there were more below, which are no longer known."""

    layers: list[Layer] = []
    cut: bool = False


class DesiredVe(msgspec.Struct, omit_defaults=True):
    """The wishes for one VE. ``path``: where it was last. ``labels``: of its spec.

    ``entries``: by the file's name, and after a blank the device, if there is one, by its name (``Record.disks``).
    ``boot``, ``ino``: its life in which rctl last changed it. ``passing``: its wishes end with that life.
    """

    path: str
    entries: dict[str, Stack] = {}
    labels: dict[str, str] = {}
    boot: str = ""
    ino: int = 0
    passing: bool = False

    def present(self, boot: str, ended: frozenset[str] = frozenset()) -> dict[str, Layer]:
        """The layer of each entry that counts in this boot. ``ended``: ids of timed adjustments whose time is over."""
        found = {}
        for entry, stack in self.entries.items():
            for layer in reversed(stack.layers):
                if layer.lasts and layer.boot in ("", boot) and layer.id not in ended:
                    found[entry] = layer
                    break
        return found


class Timer(msgspec.Struct, frozen=True, gc=False):
    """A timed adjustment: its limits go back at ``until``, in seconds since 1970.

    ``id``: its own, or that of the change of which it is a part; then the time counts from the last part.
    """

    id: str
    time: float
    until: float
    command: str


class Checkpoint(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """All wishes at one point of the history, as they are stored. See ``DesiredLimits``."""

    version: int
    last: str
    boot: str
    ves: dict[str, DesiredVe]
    timers: dict[str, Timer]


class DesiredLimits:
    """All wishes, by stable name, and the timers that have not ended, by the id of their adjustment.

    ``last``, ``boot``: the id and the boot of the newest adjustment in it.
    """

    def __init__(self, start: Checkpoint | None = None) -> None:
        """``start``: wishes to begin with; they are changed from now on."""
        self.ves = start.ves if start else {}
        self.timers = start.timers if start else {}
        self.last, self.boot = (start.last, start.boot) if start else ("", "")
        self._places: dict[str, list[tuple[DesiredVe, str]]] = {}
        for ve in self.ves.values():
            for entry, stack in ve.entries.items():
                for layer in stack.layers:
                    self._places.setdefault(layer.id, []).append((ve, entry))

    def checkpoint(self, version: int) -> Checkpoint:
        """The wishes in the form that is stored."""
        return Checkpoint(version, self.last, self.boot, self.ves, self.timers)

    def take(self, record: Record) -> None:
        """Take the next adjustment of the history into account."""
        if record.boot_id != self.boot:
            self._booted(record.boot_id)
        self.last = record.id
        if record.timer:
            self._change(record.timer, record.until or None)
            return
        if record.undoes:
            self._take_out(record.undoes)
        if record.until:
            self.timers[_wish(record)] = Timer(_wish(record), record.time, record.until, record.command)
        self._take_steps(record)

    def _take_steps(self, record: Record) -> None:
        renamed = self._made(record)
        for (path, file, key), steps in by_entry(record.steps).items():
            ve = self._of(record, path)
            if path not in renamed and not record.restores:
                self._set(ve, record, steps, _entry(record, file, key))
        for step in record.steps:
            if isinstance(step, Label):
                _label(self._of(record, step.path), step)
            elif isinstance(step, Start):
                self._of(record, step.path).passing |= step.passing
            elif isinstance(step, Want) and step.path not in renamed:
                layer = Layer(
                    _wish(record), record.time, step.value, step.value, record.boot_id if record.runtime else ""
                )
                self._add(self._of(record, step.path), _entry(record, step.file, step.key), layer)
            elif isinstance(step, Remove | Forget):
                self._forget(_name(record, step.path))

    def due(self, now: float) -> frozenset[str]:
        """Ids of the timed adjustments whose time is over."""
        return frozenset(timer.id for timer in self.timers.values() if timer.until <= now)

    def layers_of(self, id: str) -> list[tuple[DesiredVe, str, int]]:  # noqa: A002 (the word that the history uses)
        """Where the layers of an adjustment are: the VE, the entry, and the place in its stack."""
        found = []
        for ve, entry in self._places.get(id, ()):
            layers = stack.layers if (stack := ve.entries.get(entry)) else []
            found += [(ve, entry, place) for place, layer in enumerate(layers) if layer.id == id]
        return found

    def _booted(self, boot: str) -> None:
        """Forget what was meant for the boot before."""
        self.boot = boot
        for name in [name for name, ve in self.ves.items() if ve.passing]:
            self._drop(name)
        for ve in self.ves.values():
            for stack in ve.entries.values():
                stack.layers = [layer for layer in stack.layers if not layer.boot]

    def _of(self, record: Record, path: str) -> DesiredVe:
        """The wishes for the cgroup with this path, in the life that the record is about."""
        name, boot, ino = _name(record, path), record.boot_id, record.inodes.get(path, 0)
        if name not in self.ves and (old := self.ves.pop(stable_name(path), None)):
            self.ves[name] = old  # its name was not known before
        elif name not in self.ves and name != stable_name(path) and (before := self._called_before(path)):
            self.ves[name] = self.ves.pop(before)
        ve = self.ves.get(name)
        if ve is not None and ve.passing and (ve.boot, ve.ino) != (boot, ino):
            self._drop(name)
            ve = None
        if ve is None:
            ve = self.ves[name] = DesiredVe(path)
        ve.path, ve.boot, ve.ino = path, boot, ino
        return ve

    def _called_before(self, path: str) -> str:
        """The name that the container of this cgroup had before it was renamed: its path has its id. Empty: none."""
        return next((name for name, ve in self.ves.items() if ve.path == path), "")

    def _made(self, record: Record) -> set[str]:
        """The paths of renamed VEs: their wishes come with them."""
        found = set()
        for step in record.steps:
            if isinstance(step, Make) and step.instead:
                found.add(step.path)
                old = self.ves.pop(stable_name(step.instead), None)
                self.ves[stable_name(step.path)] = old or DesiredVe(step.path)
                self._of(record, step.path)
        return found

    def _set(self, ve: DesiredVe, record: Record, steps: list[Set], entry: str) -> None:
        old, last = steps[0].old, steps[-1]
        if old == last.new and len(steps) > 1:
            return  # memory.high held the VE back while memory was reclaimed, and is as it was
        lasts = last.exact and last.file != core.FREEZE.name
        if not (lasts or record.until):
            return
        for other in file_named(last.file).disturbs:
            if (beside := ve.entries.get(other.name)) is not None:
                ve.entries[other.name] = Stack(cut=bool(beside.layers or beside.cut))
        stack = ve.entries.get(entry)
        if record.undoes:
            if stack is None or not (stack.layers or stack.cut):
                return  # it was nobody's wish before either
            if stack.layers and file_named(last.file).unchanged(stack.layers[-1].value, last.new):
                return
        self._add(ve, entry, _layer(record, steps, lasts))
        if entry == cpu.WEIGHT.name:
            _end_idle(ve)

    def _add(self, ve: DesiredVe, entry: str, layer: Layer) -> None:
        stack = ve.entries.setdefault(entry, Stack([]))
        if stack.layers and stack.layers[-1].id == layer.id:  # of the step before in the same ramp
            stack.layers[-1] = msgspec.structs.replace(stack.layers[-1], time=layer.time, value=layer.value)
            return
        stack.layers.append(layer)
        self._places.setdefault(layer.id, []).append((ve, entry))
        if len(stack.layers) > _MOST:
            self._cut(stack)

    def _cut(self, stack: Stack) -> None:
        plain = [place for place, layer in enumerate(stack.layers) if layer.id not in self.timers]
        if len(plain) > _MOST:
            del stack.layers[plain[0]]
            stack.cut = True

    def _take_out(self, id: str) -> None:  # noqa: A002
        """Take the layers of an adjustment out. The layer above one gets the value before it as its own."""
        self.timers.pop(id, None)
        places = self.layers_of(id)
        self._places.pop(id, None)
        for ve, entry, place in reversed(places):
            layers = ve.entries[entry].layers
            gone = layers.pop(place)
            if place < len(layers) and layers[place].old == gone.value:
                layers[place] = msgspec.structs.replace(
                    layers[place], old=gone.old, writer=gone.writer, kept=gone.kept, beside=gone.beside
                )

    def _change(self, id: str, until: float | None) -> None:  # noqa: A002
        timer = self.timers.pop(id, None)
        if timer and until:
            self.timers[id] = msgspec.structs.replace(timer, until=until)

    def _forget(self, name: str) -> None:
        """The cgroup and all below it were removed."""
        for gone in [other for other in self.ves if other == name or other.startswith(name + "/")]:
            self._drop(gone)

    def _drop(self, name: str) -> None:
        """Forget a VE. A timer ends with the last of its VEs: one that gets the same name later is another one."""
        layers = [layer for stack in self.ves[name].entries.values() for layer in stack.layers]
        self.ves.pop(name).entries.clear()
        for id in {layer.id for layer in layers} & self.timers.keys():  # noqa: A001 (the word that the history uses)
            if not self.layers_of(id):
                del self.timers[id]


def _name(record: Record, path: str) -> str:
    return (record.names or {}).get(path) or stable_name(path)


def _entry(record: Record, file: str, key: str) -> str:
    """The name of an entry: a disk has another number after a boot."""
    return f"{file} {(record.disks or {}).get(key, key)}".strip()


def _wish(record: Record) -> str:
    """The id of its layers: the parts of one change are one wish."""
    return record.part.change if record.part else record.id


def _layer(record: Record, steps: list[Set], lasts: bool) -> Layer:
    """The layer of an entry that these steps of a record set."""
    first, boot = steps[0], record.boot_id if record.runtime else ""
    through = next((step for step in steps if isinstance(step, SetThrough)), None)
    writer, kept = (through.writer, through.kept) if through else ("", "")
    others = {file.name for file in file_named(first.file).disturbs} if not through else set()
    beside = tuple((name, text) for name, text in first.disturbed if name in others)
    return Layer(_wish(record), record.time, steps[-1].new, first.old, boot, beside, writer, kept, lasts)


def _end_idle(ve: DesiredVe) -> None:
    """A weight ends ``cpu.idle``. There is no step for that if it was off already: somebody else had ended it."""
    idle = ve.entries.get(cpu.IDLE.name)
    if idle is not None and idle.layers and idle.layers[-1].value != cpu.IDLE.default:
        ve.entries[cpu.IDLE.name] = Stack(cut=True)


def _label(ve: DesiredVe, step: Label) -> None:
    if step.new is None:
        ve.labels.pop(step.key, None)
    else:
        ve.labels[step.key] = step.new
