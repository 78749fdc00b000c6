"""A record: one adjustment as JSON, in a journal while it is under way, and as one line of the history afterwards.

A record is checked as strictly as typed input when it is read, because it decides which files are written: a path must
be a cgroup path, a file an interface file that holds a limit, and each cgroup must have its inode.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import UNSET, UnsetType

from ... import label
from ...cgroupfs.tree import check_path
from ...controllers import core, memory
from ...controllers.cpuset import MEMBER, PartitionKind
from ...errors import UsageError
from ...formats import DEVICE, File
from ...late_regex import regex
from ...limits import file_named
from ..steps import (
    ChangePart,
    Disable,
    Enable,
    Forget,
    Label,
    Make,
    Move,
    Reclaim,
    Remove,
    Renew,
    Set,
    SetThrough,
    Start,
    Step,
    Want,
)
from .stable_name import CONTAINERS

T = TypeVar("T")
VERSION = 7
"""The newest version of records. A new kind of step, or a new field, raises it by one."""
_SINCE: dict[type[Any], int] = {Label: 3, Renew: 4, SetThrough: 5, Want: 6, Forget: 6}
"""The first version with a kind of step."""
_OLDEST = 2
"""The version of a record without such steps. An rctl that does not know them can read it, too."""
_LASTING = 6
"""The first version with the fields that say how long limits last (``Lasting``)."""
_DISKS = 7
"""The first version with the names of disks."""
_ID = regex(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}", re.ASCII)
_DISK = regex(r"[!-~]{1,255}", re.ASCII)
_WRITER = regex(r"[a-z]{1,32}", re.ASCII)
_CONTROLLER = regex(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_NUMBER = regex(r"-?[0-9]{1,20}", re.ASCII)
_NUMBERS = ("bytes", "count", "flag", "us", "weight")
_YEAR_10000 = 253402300800.0
_SHOWN = 120
"""Most characters of a command that are shown to people."""
_LONGEST = 65536
"""Most characters of an entry. The kernel shows at most a page for each device or node."""


class NewerRecordError(ValueError):
    """A record of a version that this rctl does not know. Its changes are unknown, so it cannot be passed over."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One adjustment: its time (seconds since 1970), its command, its cgroups (inode by path), and its steps.

    ``undoes``: the id of the adjustment that this one took back. ``version``: of the form, see ``version_of``; unset
    in JSON: 1.

    The other fields are only written if they are set (since version 6). ``runtime``: its limits last until the next
    boot. ``restores``: it only puts desired limits back, and asks for nothing new. ``until``: when its limits go back
    (seconds since 1970). ``timer``: the id of a timed adjustment whose end this record changes to ``until``; without
    ``until``, its limits stay for good. ``names``: stable names of cgroups by path, where they do not follow from the
    path (containers). ``part``: of a rolling change or a ramp. ``disks``: names that outlive a boot, by number, of the
    disks whose limits are set (since version 7).
    """

    id: str
    time: float
    boot_id: str
    command: str
    inodes: dict[str, int]
    steps: tuple[Step, ...]
    undoes: str | None = None
    version: int = _OLDEST
    runtime: bool | UnsetType = UNSET
    restores: bool | UnsetType = UNSET
    until: float | UnsetType = UNSET
    timer: str | UnsetType = UNSET
    names: dict[str, str] | UnsetType = UNSET
    part: ChangePart | UnsetType = UNSET
    disks: dict[str, str] | UnsetType = UNSET


class _Head(msgspec.Struct, frozen=True):
    version: int = 1


def decoded(kind: type[T], data: bytes) -> T:
    """Data in JSON. Raises ValueError. The decoder is made when it is first used: most adjustments read no record."""
    found: T = _decoder(kind).decode(data)  # type: ignore[arg-type]
    return found


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def version_of(steps: Iterable[Step], *, lasting: bool = False, disks: bool = False) -> int:
    """The version of a record with these steps: the oldest that has all of them.

    ``lasting``, ``disks``: with these newer fields.
    """
    oldest = _DISKS if disks else _LASTING if lasting else _OLDEST
    return max([oldest, *(_SINCE.get(kind, _OLDEST) for kind in set(map(type, steps)))])


def encode(record: Record) -> bytes:
    """One line of JSON, without the newline."""
    return msgspec.json.encode(record)


def decode(line: bytes) -> Record:
    """A record from its line. Raises ValueError with the cause if no rctl of this version has written the line.

    Raises NewerRecordError for a record of a newer rctl.
    """
    try:
        record = decoded(Record, line)
    except (msgspec.DecodeError, RecursionError) as error:
        _check_known(line)
        raise ValueError(str(error)) from None
    if b'"version":' not in line:  # in a text, a quote has a backslash before it
        record = msgspec.structs.replace(record, version=1)
    if not 1 <= record.version <= VERSION:
        _check_known(line)
        raise ValueError(f"version {record.version} is none")
    _check(record)
    return record


def _check_known(line: bytes) -> None:
    """Raise NewerRecordError if the line is of a newer rctl."""
    try:
        version = decoded(_Head, line).version
    except (msgspec.DecodeError, RecursionError):
        return
    if version > VERSION:
        raise NewerRecordError(f"is of a newer rctl (record version {version}, this rctl knows {VERSION})")


def check_id(id: str) -> None:  # noqa: A002 (the word that the history uses)
    """Raise ValueError for a text that is no id of an adjustment."""
    _require(_ID.fullmatch(id), "id", id)


def _check_disks(record: Record) -> None:
    if record.disks and record.version < _DISKS:
        raise ValueError(f"a field of version {_DISKS} in version {record.version} cannot be")
    for number, name in (record.disks or {}).items():
        _require(DEVICE.fullmatch(number), "number of a disk", number)
        check_disk(name)


def check_disk(name: str) -> None:
    """Raise ValueError for a text that is no name of a disk."""
    _require(_DISK.fullmatch(name), "name of a disk", name)


def check_step(step: Step) -> None:
    """Raise ValueError for a step that no rctl of this version makes."""
    _check_path(step.path)
    _KINDS[type(step)](step)


def _check(record: Record) -> None:
    check_id(record.id)
    _require(record.undoes is None or _ID.fullmatch(record.undoes), "undoes", record.undoes)
    for what, moment in (("time", record.time), ("until", record.until or 0.0)):
        _require(math.isfinite(moment) and 0 <= moment < _YEAR_10000, what, moment)
    _require(not record.timer or _ID.fullmatch(record.timer), "timer", record.timer)
    for path, name in (record.names or {}).items():
        _require(any(step.path == path for step in record.steps), "name of a path without a step", path)
        _require(name.startswith(CONTAINERS) and name.isprintable() and len(name) < _SHOWN * 2, "stable name", name)
    newer = (record.runtime, record.restores, record.until, record.timer, record.names, record.part)
    if record.version < _LASTING and any(newer):
        raise ValueError(f"a field of version {_LASTING} in version {record.version} cannot be")
    _check_disks(record)
    if isinstance(part := record.part, ChangePart):
        _require(_ID.fullmatch(part.change) and 0 < part.number < 1 << 32, "part", part)
    _require(len(record.boot_id) <= 64 and record.boot_id.isprintable(), "boot_id", record.boot_id)
    for path, ino in record.inodes.items():
        _check_path(path)
        _require(0 < ino < 1 << 64, "inode", ino)
    for step in record.steps:
        check_step(step)
        # A cgroup to be made has no inode yet, and one to be forgotten none any more.
        known = step.path in record.inodes or isinstance(step, Make | Forget)
        _require(known, "step without an inode for its path", step.path)
        if record.version < _SINCE.get(type(step), 0):
            raise ValueError(f"{type(step).__name__.lower()} in version {record.version} cannot be")
        if isinstance(step, Move):
            _require(step.home in record.inodes, "step without an inode for its home", step.home)


def _check_path(path: str) -> None:
    try:
        normal = check_path(path, "path")
    except UsageError as error:
        raise ValueError(str(error)) from None
    _require(normal == path, "path", path)


def _check_set(step: Set) -> None:
    core.check_name(step.file)
    _require(step.key in ("", "default") or DEVICE.fullmatch(step.key), "key", step.key)
    file = file_named(step.file)
    beside = {other.name: other for other in (*file.disturbs, *([memory.HIGH] if file is memory.MAX else []))}
    for text in (step.old, step.new):
        _check_entry(file, text)
    for name, text in step.disturbed:
        _require(name in beside, "disturbed file", name)
        _check_entry(beside[name], text)


def _check_want(step: Want) -> None:
    _check_set(Set(step.path, step.file, step.value, step.value, step.key))


def _check_set_through(step: SetThrough) -> None:
    _check_set(step)
    from ..writers import files
    from ..writers import named as known

    _require(_WRITER.fullmatch(step.writer) and step.writer != files.NAME, "writer", step.writer)
    if known(step.writer) is None:
        raise NewerRecordError(f"is of another rctl (it wrote through {step.writer}, which this rctl does not know)")
    for form in (step.kept, step.own):
        _require(len(form) <= _LONGEST and form.isprintable(), "form of a writer", form)


def _check_entry(file: File, text: str) -> None:
    """Check for one or more lines of printable text, as the kernel shows limits; for a number if the file holds one."""
    _require(len(text) <= _LONGEST and text.replace("\n", "").isprintable(), "entry", text)
    if type(file) is File and file.unit in _NUMBERS:
        _require(text == "max" or _NUMBER.fullmatch(text), f"{file.name} entry", text)


def _check_switch(step: Enable | Disable) -> None:
    for name in step.controllers:
        _require(_CONTROLLER.fullmatch(name), "controller", name)


def _check_reclaim(step: Reclaim) -> None:
    _require(0 <= step.goal < 1 << 64 and 0 <= step.usage < 1 << 64, "size", (step.goal, step.usage))


def _check_move(step: Move) -> None:
    _check_path(step.home)
    _require(1 < step.pid < 1 << 22 and 0 <= step.started < 1 << 64, "process", (step.pid, step.started))


def _check_label(step: Label) -> None:
    for value in (step.old, step.new):
        try:
            label.check_one(step.key, value or "")
        except UsageError as error:
            raise ValueError(str(error)) from None


def _check_own(step: Make | Remove | Start | Forget) -> None:
    _require(step.path != "/", "path", step.path)


def _check_make(step: Make) -> None:
    _check_own(step)
    if step.instead:
        _check_path(step.instead)
        _require(step.instead not in ("/", step.path), "instead", step.instead)


def _check_renew(step: Renew) -> None:
    _require(step.path != "/", "path", step.path)
    _require(step.kind in get_args(PartitionKind) and step.kind != MEMBER, "kind of partition", step.kind)


_KINDS: dict[type[Any], Callable[[Any], None]] = {
    Set: _check_set,
    SetThrough: _check_set_through,
    Enable: _check_switch,
    Disable: _check_switch,
    Reclaim: _check_reclaim,
    Make: _check_make,
    Label: _check_label,
    Move: _check_move,
    Start: _check_own,
    Remove: _check_own,
    Renew: _check_renew,
    Want: _check_want,
    Forget: _check_own,
}
"""The check of each kind of step."""


def _require(good: object, what: str, value: object) -> None:
    if not good:
        raise ValueError(f"{what} {repr(value)[:80]} cannot be")


def named(record: Record) -> str:
    """An adjustment for people: its id, its local time and its command."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
    command = record.command or "from Python"
    return f"{record.id} ({when}: {command if len(command) <= _SHOWN else command[:_SHOWN] + '...'})"
