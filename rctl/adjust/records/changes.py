"""Changes of several adjustments: the batches of a rolling change, the steps of a ramp.

Each adjustment is a record of its own, with the id of the change and its number in it (``Record.part``). People see,
and undo, the change as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from msgspec import UNSET

from ..state_folder import State
from ..steps import ChangePart
from .history import latest
from .record_format import Record


class PartRecord(msgspec.Struct, frozen=True):
    """One part of a change: the number, the id of its own record, its time, and its number of cgroups."""

    number: int
    id: str
    time: float
    cgroups: int


class WholeChange(Record, frozen=True):
    """A change as one record: the steps of all parts, the oldest first. ``id``: of the change; ``time``: of its begin.

    It is never written: ``rctl history`` and ``undo`` make it from its parts.
    """

    parts: tuple[PartRecord, ...] = ()


def part_of(record: Record) -> ChangePart | None:
    """The change to which an adjustment belongs, and its number in it; ``None``: it stands alone."""
    return record.part if isinstance(record.part, ChangePart) else None


def grouped(records: Iterable[Record]) -> Iterator[Record]:
    """Records, newest first, with those of one change as one WholeChange, in the place of its newest part.

    Parts from before the change was undone, or before a boot, are a WholeChange of their own.
    """
    source, waiting = iter(records), deque[Record]()

    def following() -> Iterator[Record]:
        """The records after the present one, which stay in line for later."""
        yield from list(waiting)
        for record in source:
            waiting.append(record)
            yield record

    while (record := waiting.popleft() if waiting else next(source, None)) is not None:
        if (part := part_of(record)) is None:
            yield record
            continue
        parts = [record]
        if part.number > 1:
            for older in following():
                if older.undoes == part.change or older.boot_id != record.boot_id:
                    break
                if (other := part_of(older)) and other.change == part.change:
                    parts.append(older)
                    if other.number == 1:
                        break
            taken = set(map(id, parts))
            waiting = deque(one for one in waiting if id(one) not in taken)
        yield whole(parts)


def whole(newest_first: list[Record]) -> WholeChange:
    """The parts of a change as one record."""
    parts = newest_first[::-1]
    first = parts[0]
    assert isinstance(first.part, ChangePart)
    return WholeChange(
        first.part.change,
        first.time,
        first.boot_id,
        first.command,
        {path: ino for one in parts for path, ino in one.inodes.items()},
        tuple(step for one in parts for step in one.steps),
        None,
        max(one.version for one in parts),
        until=first.until,
        names={path: name for one in parts for path, name in (one.names or {}).items()} or UNSET,
        parts=tuple(
            PartRecord(one.part.number, one.id, one.time, len({step.path for step in one.steps}))
            for one in parts
            if isinstance(one.part, ChangePart)
        ),
    )


def last_number(state: State, change: str, boot_id: str, most: int | None = None) -> int:
    """The number of the newest part of a change in the history, or in its newest ``most`` records; 0: it has none."""
    for record in islice(latest(state), most):
        if record.boot_id != boot_id:
            break
        if (part := part_of(record)) and part.change == change:
            return part.number
    return 0


def is_undone(state: State, change: str, boot_id: str) -> bool:
    """True if a change was undone, and has no part since."""
    for record in latest(state):
        if record.boot_id != boot_id:
            break
        if record.undoes == change:
            return True
        if (part := part_of(record)) and part.change == change:
            return False
    return False
