"""Takes the last adjustments back, with the same engine: all or nothing; memory is shrunk gently, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from itertools import dropwhile, islice

import msgspec

from ...cgroupfs.tree import Tree
from ...controllers import core
from ...errors import GoneError, NotFoundError, RctlError, UsageError
from ...formats import Write
from ...limits import file_named
from ...signals import undisturbed
from .. import writers
from ..account import Account
from ..engine import Options, Wish, transact
from ..lifecycle import freeze, processes
from ..lifecycle.labels import taken_back
from ..records.history import Record
from ..records.journal import Journal, new_id
from ..records.record_format import named
from ..request import Around
from ..site import Site
from ..steps import Disable, Enable, Key, Label, Make, Move, Remove, Set, SetThrough, by_entry
from ..writers import files
from . import asleep, choose, ves_made
from .concerned import learn_names, paths, still_desired
from .tree_after import Supposed, UnreckonedError
from .values_before import as_they_count

_BY_FILE = (files.NAME, "")
_SEARCHED = 100
"""Most adjustments that are searched for one that can be taken back instead."""
_TOLD = 3
"""Most removed VEs that are named."""


class FreezeError(RctlError):
    """The adjustment only froze or thawed, and was not asked for by its id."""


class Undone(msgspec.Struct, frozen=True):
    """An adjustment that was taken back, or would be.

    ``account``: the changes to each VE. ``None`` in a dry run of several undos, if only the kernel knows the state
    after those before; then ``unreckoned`` names the file.
    """

    record: Record
    account: Account | None
    unreckoned: str = ""


def undo(
    site: Site,
    options: Options,
    wanted: str | None = None,
    *,
    ve: str | None = None,
    last: int = 1,
    each: Callable[[Undone], object] | None = None,
) -> list[Undone]:
    """Take back adjustments, newest first, until one fails. See ``take_back``. ``each`` is called after each one.

    ``wanted``: the one with this id; otherwise the ``last`` N, of the VE ``ve`` if one is named. A dry run plans each
    as if those before were undone already.

    Raises as ``choose``, and UsageError for an id together with ``ve`` or ``last``. The notes of an error
    (``__notes__``) name its adjustment.
    """
    records = _chosen(site, wanted, ve, last)
    found: list[Undone] = []
    supposed = Supposed(site.tree) if options.dry_run and len(records) > 1 else None
    there = msgspec.structs.replace(site, tree=supposed) if supposed else site
    for record in records:
        learn_names(site.tree, record)
        account, unreckoned = None, ""
        try:
            account = take_back(there, options, record, asked=wanted is not None)
        except UnreckonedError as error:
            unreckoned = str(error)
        except RctlError as error:
            failure = error
            if isinstance(error, FreezeError) and (older := _before(site, record, ve)):
                failure = FreezeError(f"{error}. Or take back the one before, {named(older)}: rctl undo {older.id}")
            failure.add_note(f"not undone: {named(record)}")
            raise failure from None
        found.append(Undone(record, account, unreckoned))
        if supposed and account:
            supposed.after(step for outcome in account.outcomes for step in outcome.steps)
        elif supposed:
            supposed.unknown(paths(record))
        if each:
            each(found[-1])
    return found


def _chosen(site: Site, wanted: str | None, ve: str | None, last: int) -> list[Record]:
    if wanted and (ve or last > 1):
        raise UsageError("undo: an ID names one adjustment. Leave out --ve and --last")
    if wanted:
        return [choose.by_id(site, wanted)]
    return choose.newest_of(site, ve, last) if ve else choose.newest(site, last)


def _before(site: Site, record: Record, ve: str | None) -> Record | None:
    """The newest adjustment before this one (of the VE ``ve`` if one is named) that did more than freeze or thaw."""
    # In the order of the history, because the clock may have been set back since.
    those = dropwhile(lambda newer: newer.id != record.id, choose.changes(site.state))
    for older in islice(those, 1, _SEARCHED):
        if older.boot_id != record.boot_id or not choose.left(site.tree, older):
            continue
        more = any(not isinstance(step, Set) or step.file != core.FREEZE.name for step in older.steps)
        if more and (ve is None or site.tree.path(ve) in paths(older)):
            return older
    return None


def told(record: Record, *, dry_run: bool = False) -> str:
    """A line for people that names the adjustment that is taken back."""
    return f"{'would undo' if dry_run else 'undo'} {named(record)}"


def take_back(site: Site, options: Options, record: Record, *, asked: bool = False) -> Account:
    """Take back one adjustment.

    VEs that it made are removed if they are empty; otherwise they stay, and a note says so. Labels of the others are
    put back. Processes that it moved and that still exist are moved back. VEs that it removed are not made again, and a
    command that it started continues.

    VEs that were removed since are left out, and named in the account's notes. If everything is as before already, the
    adjustment counts as undone, so that the next undo comes to the one before. VEs are frozen and thawed only if this
    very adjustment was ``asked`` for, or with ``options.force``; otherwise they stay as they are, and a note says so.

    Raises GoneError if all its VEs were removed; RctlError if a limit or a label was changed since, also of a VE that
    would be removed (``options.force`` overwrites it), if it only froze or thawed, or if it put one VE in the place of
    another.
    """
    tree = site.tree
    record = asleep.after_boot(site, record)
    _check_replaced(tree, record)
    record = as_they_count(site.state, record)
    left, stored = choose.left(tree, record), asleep.stored_steps(tree, record)
    if not left and not stored:
        if where := choose.elsewhere(tree, record):
            raise GoneError(f"{named(record)} {where}")
        rest = still_desired(site, [record]) or "Nothing to undo"
        raise GoneError(f"{record.id}: its VEs were removed; those with their names are new. {rest}")
    options = msgspec.structs.replace(options, undoes=record.id)
    if not left:
        account = asleep.put_back(tree, record, stored, dry_run=options.dry_run)
        said = () if options.dry_run else _count_as_undone(site, options, record)
        return msgspec.structs.replace(account, notes=(*account.notes, *said))
    wished = [wish for wish in wishes(tree, record) if tree.path(wish.name) in left]
    gone = [path for path in paths(record) if path not in left.union(step.path for step in stored)]
    called = record.names or {}
    notes = [
        f"{called.get(path) or tree.name(path)}: was removed; there is nothing to undo there" for path in gone[:_TOLD]
    ]
    if len(gone) > _TOLD:
        notes.append(f"and {len(gone) - _TOLD} more that were removed")
    if not (asked or options.force):
        wished, said = _unfrozen(record, wished)
        notes += said
    freeze.check_self(
        tree, [w.name for w in wished if any(x.file is core.FREEZE and x.wanted == "1" for x in w.writes)]
    )
    back = _moved(tree, record)
    goes, said = _made(tree, record, left, {step.pid for step in back})
    notes += said
    wished = [wish for wish in wished if wish.name not in goes]
    for name in goes:
        path = tree.path(name)
        wished.append(Wish(name, (), ves_made.as_left(tree, record, path), record.inodes[path]))
    labels, labelled = taken_back(tree, record, left, goes)
    there = {wish.name for wish in wished}
    wished += [Wish(name, (), ino=record.inodes[tree.path(name)]) for name in labels if name not in there]
    around = Around(remove=goes, back=back, labels=labels, labelled={} if options.force else labelled)
    given = _given(tree, record)
    # First, because it may be tried again: with the transaction, the adjustment counts as undone.
    besides = asleep.put_back(tree, record, stored, dry_run=options.dry_run)
    with asleep.noting(besides):
        account = transact(site, wished, options, given=given, around=around)
    account = msgspec.structs.replace(account, outcomes=(*account.outcomes, *besides.outcomes))
    notes += besides.notes
    if account.id is None and not options.dry_run:
        said = _count_as_undone(site, options, record)
        kept = any(isinstance(step, Make) for step in record.steps)
        is_so = "there is nothing else to take back" if kept else "all is as it was before"
        notes += [f"{record.id}: {is_so}; it counts as undone", *said]
    return msgspec.structs.replace(account, notes=(*account.notes, *notes))


def _count_as_undone(site: Site, options: Options, record: Record) -> list[str]:
    """Add an undo that wrote nothing itself to the history. Returns notes for people."""
    empty = Record(new_id(), time.time(), site.boot_id, options.command, {}, (), record.id)
    with undisturbed():
        return Journal(site.state, empty).close(done=True)


def _check_replaced(tree: Tree, record: Record) -> None:
    """Raise RctlError for a rename: the removed VE is not made again, so neither VE would be left."""
    if replaced := _replaced(record):
        old, new = map(tree.name, replaced)
        raise RctlError(
            f"{named(record)} put {new} in the place of {old}, which undo does not make again. "
            f"Take it back by: rctl rename {new} {old}"
        )


def _replaced(record: Record) -> tuple[str, str] | None:
    """The paths of a renamed VE, before and after. Records of version 1 do not name it; there the steps show it."""
    new = [step for step in record.steps if isinstance(step, Make)]
    for step in new:
        if step.instead:
            return step.instead, step.path
    gone = [step.path for step in record.steps if isinstance(step, Remove)]
    touched = {step.path for step in record.steps if not isinstance(step, Enable | Disable)}
    if record.version == 1 and len(new) == len(gone) == 1 and touched == {new[0].path, *gone}:
        return gone[0], new[0].path
    return None


def _made(tree: Tree, record: Record, left: Container[str], leaving: Container[int]) -> tuple[list[str], list[str]]:
    """The VEs that the record made and that are empty without the ``leaving``; and notes about the others."""
    goes: list[str] = []
    notes: list[str] = []
    for path in [step.path for step in record.steps if isinstance(step, Make) and step.path in left]:
        name = tree.name(path)
        with tree.walk(path) as ve:
            if any(pid not in leaving for pid in processes.processes(ve)) or ve.children():
                notes.append(f"{name}: stays, because it has processes or cgroups inside. See rctl rm --kill")
            else:
                goes.append(name)
    return goes, notes


def _moved(tree: Tree, record: Record) -> list[Move]:
    """The steps that move processes back, if they are still where the record moved them."""
    found = []
    for step in record.steps:
        if isinstance(step, Move):
            with suppress(NotFoundError, GoneError), tree.walk(step.path) as ve:
                if processes.is_in(ve, step):
                    found.append(Move(step.home, step.pid, step.started, step.path))
    return found


def _given(tree: Tree, record: Record) -> list[Enable]:
    """The controllers that the adjustment enabled, for cgroups that were not replaced since."""
    found = []
    for step in record.steps:
        if isinstance(step, Enable):
            with suppress(NotFoundError), tree.walk(step.path) as cgroup:
                if cgroup.ino == record.inodes[step.path]:
                    found.append(step)
    return found


def _unfrozen(record: Record, wished: list[Wish]) -> tuple[list[Wish], list[str]]:
    """The wishes without those that freeze or thaw, and notes for people about the latter."""
    found: list[Wish] = []
    notes: list[str] = []
    for wish in wished:
        rest = tuple(write for write in wish.writes if write.file is not core.FREEZE)
        if len(rest) < len(wish.writes):
            notes.append(f"{wish.name}: stays as frozen or thawed as it is. See rctl freeze and rctl thaw")
            expected = {entry: text for entry, text in wish.expected.items() if entry[0] != core.FREEZE.name}
            wish = msgspec.structs.replace(wish, writes=rest, expected=expected)
        if rest:
            found.append(wish)
    more = any(isinstance(step, Label | Make | Move | Remove) for step in record.steps)
    if notes and not found and not more:
        raise FreezeError(
            f"{named(record)} only froze or thawed, which undo does not touch unless asked. "
            f"Ask for it: rctl undo {record.id}"
        )
    return found, notes


def wishes(tree: Tree, record: Record) -> list[Wish]:
    """The values that must be restored to take back the record's adjustment, by VE."""
    sets = by_entry(record.steps)
    for entry in [entry for entry, steps in sets.items() if asleep.as_before(steps)]:
        del sets[entry]  # memory.high held the VE back while memory was reclaimed, and is as it was
    found = []
    for path in dict.fromkeys(path for path, _, _ in sets):
        own = {entry: steps for entry, steps in sets.items() if entry[0] == path}
        ino = record.inodes[path]
        if any(isinstance(step, SetThrough) for steps in own.values() for step in steps):
            ino, own = _in_this_life(tree, record, path, own)
        writes = tuple(write for steps in own.values() for write in _writes(steps))
        expected = {(file, key): steps[-1].new for (_, file, key), steps in own.items()}
        forms = {(file, key): _form(steps) or _BY_FILE for (_, file, key), steps in own.items()}
        found.append(Wish(tree.name(path), _once(writes), expected, ino, forms))
    return found


def _in_this_life(
    tree: Tree, record: Record, path: str, sets: dict[Key, list[Set]]
) -> tuple[int, dict[Key, list[Set]]]:
    """The inode of the cgroup now, and of the ``sets`` those that still count: all, or what the owner has stored."""
    with suppress(NotFoundError), tree.walk(path) as cgroup:
        if cgroup.ino != record.inodes[path]:
            return cgroup.ino, {entry: steps for entry, steps in sets.items() if any(map(writers.stored, steps))}
    return record.inodes[path], sets


def _form(steps: Sequence[Set]) -> tuple[str, str] | None:
    """The writer of an entry, and what its owner knew of it before; ``None`` if its file was written."""
    return next(((step.writer, step.kept) for step in steps if isinstance(step, SetThrough)), None)


def _writes(steps: Sequence[Set]) -> list[Write]:
    """The entry as it was, and what the step disturbed. With the form of an owner goes what that disturbed."""
    first = steps[0]
    file = file_named(first.file)
    own = Write(file, first.old, first.key, exact=first.exact)
    if _form(steps):
        return [own]
    besides = [Write(file_named(name), old) for name, old in first.disturbed if file_named(name) in file.disturbs]
    return [write for write in (own, *besides) if write.file.settable(write.wanted)]


def _once(writes: tuple[Write, ...]) -> tuple[Write, ...]:
    """Each entry once; the first wish for it counts."""
    found: dict[tuple[str, str], Write] = {}
    for write in writes:
        found.setdefault((write.file.name, write.key), write)
    return tuple(found.values())
