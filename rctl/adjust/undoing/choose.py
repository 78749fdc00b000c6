"""Chooses the adjustment for ``rctl undo``: the newest one, the newest one of a VE, or the one with an id.

An older adjustment is only taken back if its id is given: it may be of another VE, and long ago.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from ...cgroupfs.tree import Tree
from ...errors import GoneError, NotFoundError, RctlError, UsageError
from .. import writers
from ..records.changes import grouped, part_of
from ..records.history import Record, latest
from ..records.journal import ForeignError, Journal, NewerJournalError, left_open, unwritten
from ..records.record_format import named
from ..site import Site
from ..state_folder import State
from ..steps import Forget, Label, Want
from . import asleep
from .concerned import called, paths, still_desired

_SEARCHED = 100
"""Most adjustments of removed VEs that are searched for one that can be taken back."""
_ID = re.compile(r"[0-9]{8}-")


def standing(state: State) -> Iterator[Record]:
    """Adjustments that are neither undone nor an undo themselves, newest first. They are read on demand.

    A record that changes no VE is left out: of a wish for what is there already, or of the time of a timer.

    Raises RctlError at an adjustment of a newer rctl: it may have undone those before it.
    """
    undone: set[str] = set()
    for record in latest(state, known=True):
        if record.undoes is not None:
            undone.add(record.undoes)
        elif record.id not in undone and _change(record) not in undone and not asks_only(record):
            yield record


def changes(state: State) -> Iterator[Record]:
    """As ``standing``; the adjustments of one rolling change, or of one ramp, are one record (``WholeChange``)."""
    return grouped(standing(state))


def standing_change(state: State, wanted: str) -> Record | None:
    """The rolling change or ramp with this id, as one record, with those of its parts that are not undone."""
    return next((record for record in changes(state) if record.id == wanted), None)


def asks_only(record: Record) -> bool:
    """True if the record changes no VE: it only changes what is desired, or the time of a timer."""
    return bool(record.timer or record.steps) and all(
        isinstance(step, Want | Forget) or (isinstance(step, Label) and step.noted) for step in record.steps
    )


def by_id(site: Site, wanted: str) -> Record:
    """The adjustment with this id; a rolling change or a ramp is one. So is each of its parts, by its own id.

    Raises NotFoundError if there is none, or if it is undone already; UsageError for a wrong id, and for an undo;
    RctlError if it, or its undo, is not in the history yet.
    """
    state = site.state
    record = next((r for r in standing(state) if wanted in (r.id, _change(r))), None)
    if record is not None and record.id != wanted:
        record = standing_change(state, wanted)
    if record is None or unwritten(state):
        _check_settled(site, lambda record: wanted in (record.id, record.undoes))
    if record is None and not _ID.match(wanted):
        raise UsageError(f"{wanted}: not the id of an adjustment. For the last one of a VE: rctl undo --ve {wanted}")
    if record is None:
        raise _not_standing(state, wanted)
    return record


def _change(record: Record) -> str:
    return part.change if (part := part_of(record)) else ""


def _not_standing(state: State, wanted: str) -> RctlError:
    found = next((record for record in latest(state) if wanted in (record.id, _change(record))), None)
    if found is None:
        return NotFoundError(f"{wanted}: no such adjustment. See rctl history")
    if found.undoes is None:
        return NotFoundError(f"{wanted}: was undone already. See rctl history")
    return UsageError(f"{wanted}: is an undo, which is not taken back. Give the command of {found.undoes} again")


def newest(site: Site, count: int = 1) -> list[Record]:
    """The ``count`` newest adjustments that are not undone, newest first; fewer if there are no more.

    Raises NotFoundError if there is none, and as ``asleep.after_boot`` for the newest. Raises GoneError if VEs of
    one of them were removed; the error names it, and the adjustments that can still be taken back. Raises RctlError if
    a finished adjustment is not in the history yet.
    """
    _check_settled(site)
    tree = site.tree
    found: list[Record] = []
    records = changes(site.state)
    for record in records:
        try:
            now = asleep.after_boot(site, record)
        except UsageError:
            if found:
                break
            raise
        if not _can_be_undone(tree, now):
            raise _one_gone(site, record, len(found), count) if found else _all_gone(site, record, records)
        found.append(record)
        if len(found) == count:
            break
    if not found:
        raise NotFoundError("undo: nothing left to undo. See rctl history")
    return found


def newest_of(site: Site, name: str, count: int = 1) -> list[Record]:
    """As ``newest``, for adjustments of one VE. Also raises RctlError if one of them includes other VEs."""
    tree, path = site.tree, site.tree.path(name)
    _check_settled(site, lambda record: path in paths(record))
    with tree.open_ve(name) as ve:
        ino = ve.ino
    found: list[Record] = []
    for record in changes(site.state):
        if len(found) == count:
            break
        if path not in paths(record):
            continue
        try:
            now = asleep.after_boot(site, record)
        except UsageError:
            break
        if not concerns(now, path, ino):
            continue
        names = called(tree, record)
        if others := sorted(names[other] for other in left(tree, now) - {path}):
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            raise RctlError(
                f"{named(record)} is of {', '.join(others[:3])}{more}, too. Take it back for all with: "
                f"rctl undo {record.id}"
            )
        found.append(record)
    if not found:
        raise NotFoundError(f"{name}: nothing left to undo. See rctl history")
    return found


def _check_settled(site: Site, meant: Callable[[Record], bool] = lambda _: True) -> None:
    """Raise RctlError if an adjustment may still become the newest in the history. ``meant``: returns True if it
    counts.

    A crash left it open, or the history could not be written at its end; or it is of a newer rctl, and only that knows
    its VEs.
    """
    state = site.state
    for name in (*unwritten(state), *left_open(state, aside=True)):
        try:
            if (journal := Journal.adopt(state, name)) is None:
                continue
            journal.abandon()
        except NewerJournalError as error:
            raise RctlError(
                f"{error}, and may count as the last one. Settle it with rctl recover of that rctl"
            ) from None
        except ForeignError:
            continue
        counts = journal.record.boot_id == site.boot_id or writers.for_good(journal.record.steps)
        if counts and meant(journal.record):
            what = named(journal.record)
            if journal.ended:
                raise RctlError(f"{what} has ended, and is not in the history yet. Add it first: rctl recover")
            raise RctlError(
                f"{what} was left open by a crash, and may count as the last one. Settle it first: rctl recover"
            )


def about(tree: Tree, patterns: Sequence[str]) -> Callable[[Record], bool]:
    """Returns a function: True if an adjustment was about a VE with one of these names, or patterns of names."""
    from ...names.shell_patterns import fits

    def wanted(record: Record) -> bool:
        known = record.names or {}  # of containers, also of those that are gone
        names = {name for path in paths(record) for name in (path, tree.name(path), known.get(path, path))}
        return any(fits(name, pattern) for name in names for pattern in patterns)

    return wanted


def left(tree: Tree, record: Record) -> set[str]:
    """The cgroups of the adjustment that still exist, without others of the same name.

    One that was made anew counts if its owner gave it what the adjustment has stored: a container that was restarted.
    """
    found = set()
    for path in paths(record):
        with suppress(NotFoundError), tree.walk(path) as cgroup:
            if concerns(record, path, cgroup.ino):
                found.add(path)
    return found


def _can_be_undone(tree: Tree, record: Record) -> bool:
    return bool(left(tree, record) or asleep.stored_steps(tree, record))


def concerns(record: Record, path: str, ino: int) -> bool:
    """True if the cgroup with this inode is the one of the adjustment, or was made anew with what that has stored."""
    return record.inodes.get(path) == ino or any(step.path == path and writers.stored(step) for step in record.steps)


def elsewhere(tree: Tree, record: Record) -> str:
    """The text after an adjustment's name if its VEs are on another mount; empty if they were removed."""
    for other in tree.others():
        if left(other, record):
            return f"is of VEs on the mount {other.mount.point}. Take it back there: RCTL_MOUNT={other.mount.point}"
    return ""


def _one_gone(site: Site, record: Record, newer: int, count: int) -> GoneError:
    """The error if VEs of one of the last ``count`` were removed: it names that one, and how to undo later ones."""
    where = elsewhere(site.tree, record)
    what = where or f"is of VEs {_GONE}"
    those, more = ("one", "") if newer == 1 else (str(newer), f" --last {newer}")
    return GoneError(
        f"undo: of the last {count} adjustments, {named(record)} {what}; "
        f"to take back the {those} after it, use: rctl undo{more}{'' if where else _or_forget(site, [record])}"
    )


def _or_forget(site: Site, records: Sequence[Record]) -> str:
    """The end of an error about adjustments whose VEs are gone."""
    return f". {told}" if (told := still_desired(site, records)) else ""


def _all_gone(site: Site, first: Record, before: Iterator[Record]) -> RctlError:
    """The error if the VEs of ``first`` were removed: it names it, and the next one that can be taken back."""
    tree = site.tree
    if where := elsewhere(tree, first):
        return GoneError(f"undo: the last adjustment, {named(first)}, {where}")
    skipped = [first]
    for record in before:
        if record.boot_id != site.boot_id or len(skipped) == _SEARCHED:
            break
        if _can_be_undone(tree, record):
            return GoneError(
                f"undo: {_those(tree, skipped)}; to take back the one before, {named(record)}, "
                f"use: rctl undo {record.id}{_or_forget(site, skipped)}"
            )
        skipped.append(record)
    what = f"undo: {_those(tree, skipped)}"
    if len(skipped) == _SEARCHED:
        return GoneError(f"{what}. Choose an older one from rctl history: rctl undo ID{_or_forget(site, skipped)}")
    return NotFoundError(f"{what}, so there is nothing left to undo. See rctl history{_or_forget(site, skipped)}")


_GONE = "that were removed or started anew, or lie in another cgroup namespace"


def _those(tree: Tree, skipped: list[Record]) -> str:
    if len(skipped) == 1:
        return f"the last adjustment, {named(skipped[0])}, is of VEs {_GONE}"
    names = list(dict.fromkeys(name for record in skipped for name in called(tree, record).values()))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the last {len(skipped)} adjustments are of VEs {_GONE}: {', '.join(names[:3])}{more}"
