"""``desired.json``: all desired limits at one point of the history, so that no part of it is needed for ever.

The history is the truth. What is desired now is the checkpoint and all adjustments after it. A checkpoint is written
before a part of the history is removed, and by a reader that had many adjustments to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

import msgspec

from ...errors import RctlError, explained
from ...formats import DEVICE
from ..state_folder import State
from ..steps import Enable, Label, Set, SetThrough, Start
from . import log_files
from .desired_limits import Checkpoint, DesiredLimits
from .record_format import NewerRecordError, Record, check_disk, check_id, check_step, decode, decoded

VERSION = 2
"""Version of the form of a checkpoint."""
NAME = "desired.json"
_LONG = 1000
"""So many adjustments, or steps of adjustments, after a checkpoint are a reason to write a new one."""
_LARGEST = 256 << 20


class _CheckpointHead(msgspec.Struct, frozen=True):
    version: int
    last: str


def desired_limits(state: State) -> DesiredLimits:
    """What is desired now. After many adjustments, it writes a checkpoint, if the caller may write one.

    Raises RctlError if an adjustment, or the checkpoint, is of a newer rctl, or if one cannot be read.
    """
    name = os.path.basename(state.history)
    folder = state.folder_if_there(state.keep)
    if folder is None:
        return DesiredLimits()
    try:
        start, after = _read_all(state, folder, name)
    except log_files.UnreadableError as error:
        raise RctlError(f"{state.keep}/{error}") from None
    except OSError as error:
        raise RctlError(f"{state.history}: cannot be read: {explained(error, 'See dmesg')}") from None
    found, before = DesiredLimits(start), start.last if start else ""
    for record in reversed(after):
        found.take(record)
    if len(after) > _LONG or sum(len(record.steps) for record in after) > _LONG:
        with suppress(OSError, RctlError), log_files.locked(folder, name):
            if before == _last(state, folder):  # a newer one must not be replaced: its history may be gone
                _write(folder, found)
    return found


def _read_all(state: State, folder: int, name: str) -> tuple[Checkpoint | None, list[Record]]:
    """The checkpoint, and all adjustments after it, newest first. Raises as ``desired_limits``."""
    while True:
        start = _read(state, folder)
        after = list(_after(state, log_files.backwards(folder, name), start.last if start else ""))
        if _last(state, folder) == (start.last if start else ""):
            return start, after  # no part was removed meanwhile


def before_removal(state: State, folder: int, leaving: Sequence[str], staying: Sequence[str]) -> None:
    """Write a checkpoint that covers the parts of the history that are to be removed. The history is locked.

    ``leaving``, ``staying``: names of its parts, oldest first. Raises RctlError or OSError if there can be none; then
    no part may go.
    """
    start = _read(state, folder)
    before = start.last if start else ""
    if before and any(_holds(folder, part, before) for part in staying):
        return
    found = DesiredLimits(start)
    lines = (line for part in reversed(leaving) for line in log_files.part_backwards(folder, part))
    for record in reversed(list(_after(state, lines, before))):
        found.take(record)
    _write(folder, found)


def _after(state: State, lines: Iterator[bytes], last: str) -> Iterator[Record]:
    """The records of lines, newest first, up to the one with the id ``last``. A line that is no record is left out."""
    begin = b'{"id":"%s",' % last.encode()
    for line in lines:
        if last and line.startswith(begin):
            return
        try:
            record = decode(line)
        except NewerRecordError as error:
            raise RctlError(
                f"{state.history}: an adjustment {error}, so the desired limits are not known. Use that rctl"
            ) from None
        except ValueError:
            continue
        if record.id == last:
            return
        yield record


def _holds(folder: int, part: str, id: str) -> bool:  # noqa: A002 (the word that the history uses)
    fd = log_files.open_part(folder, part)
    if fd is None:
        return False
    with open(fd, "rb") as file:
        return f'"id":"{id}"'.encode() in file.read()


def _last(state: State, folder: int) -> str:
    """The id of the newest adjustment in the checkpoint on disk."""
    data = _content(folder)
    return "" if data is None else _head(state, data).last


def _read(state: State, folder: int) -> Checkpoint | None:
    """The checkpoint on disk. Raises RctlError for one that this rctl did not write."""
    if (data := _content(folder)) is None:
        return None
    _head(state, data)
    try:
        found = decoded(Checkpoint, data)
        _check(found)
    except (ValueError, RecursionError) as error:
        raise _foreign(state, error) from None
    return found


def _content(folder: int) -> bytes | None:
    fd = log_files.open_part(folder, NAME)
    if fd is None:
        return None
    with open(fd, "rb") as file:
        return file.read(_LARGEST)


def _head(state: State, data: bytes) -> _CheckpointHead:
    try:
        head = decoded(_CheckpointHead, data)
    except (ValueError, RecursionError) as error:
        raise _foreign(state, error) from None
    if head.version > VERSION:
        newer = f"is of a newer rctl (version {head.version}, this rctl knows {VERSION})"
        raise RctlError(f"{state.keep}/{NAME}: {newer}. Use that rctl")
    return head


def _foreign(state: State, error: Exception) -> RctlError:
    return RctlError(f"{state.keep}/{NAME}: no checkpoint of rctl: {error}. Look at it, then remove it")


def _check(found: Checkpoint) -> None:
    """Check it as strictly as a record, because it decides which files are written. Raises ValueError."""
    for id_ in (found.last, *found.timers, *(timer.id for timer in found.timers.values())):
        check_id(id_)
    for ve in found.ves.values():
        check_step(Start(ve.path) if ve.path != "/" else Enable("/", ()))
        for entry, stack in ve.entries.items():
            for layer in stack.layers:
                check_id(layer.id)
                _check_entry(entry, layer.old, layer.value, layer.beside)
                if layer.writer:
                    file, key = _numbered(entry)
                    through = SetThrough(
                        ve.path, file, layer.old, layer.value, key, writer=layer.writer, kept=layer.kept
                    )
                    check_step(through)
        for key, value in ve.labels.items():
            check_step(Label(ve.path, key, None, value))


@lru_cache(1 << 12)
def _check_entry(entry: str, old: str, new: str, beside: tuple[tuple[str, str], ...]) -> None:
    """Many VEs have the same limits, so most calls are answered from the cache. Raises ValueError."""
    file, key = _numbered(entry)
    check_step(Set("/", file, old, new, key, disturbed=beside))


def _numbered(entry: str) -> tuple[str, str]:
    """The file, and a key that a step can have: any number, for a disk that is known by its name."""
    file, _, key = entry.partition(" ")
    if not key or key == "default" or DEVICE.fullmatch(key):
        return file, key
    check_disk(key)
    return file, "0:0"


def _write(folder: int, found: DesiredLimits) -> None:
    """Replace the checkpoint in one step. The history is locked. Raises OSError; then the old one is whole."""
    log_files.replace(folder, NAME, msgspec.json.encode(found.checkpoint(VERSION)))
