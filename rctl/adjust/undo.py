"""Take back the last adjustments, through the same engine: memory is shrunk gently here too, and all or nothing."""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec

from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError, UsageError
from ..formats import Write
from ..host import Host
from ..limits import file_named
from .account import Account
from .engine import Options, Wish, transact
from .history import Record, history
from .journal import Journal, new_id
from .plan import Set
from .progress import Progress, quiet
from .state import State, default_state


def undoable(state: State, tree: Tree | None = None) -> list[Record]:
    """Adjustments that can still be taken back, newest first.

    They are neither undone already nor an undo themselves, and a VE of theirs is still there. ``tree``: where VEs are
    looked for; unset: this host's.
    """
    if tree is None:
        with Tree.open() as tree:
            return undoable(state, tree)
    return [record for record in _standing(state) if _left(tree, record)]


def _standing(state: State) -> list[Record]:
    records = list(history(state))
    undone = {record.undoes for record in records}
    return [r for r in reversed(records) if r.undoes is None and r.id not in undone]


def undo(
    tree: Tree, host: Host, options: Options, wanted: str | None, progress: Progress = quiet, state: State | None = None
) -> Account:
    """Take back one adjustment: the one with the id ``wanted``, or the last one (``None``).

    VEs that were removed since are left out, and named in the account's notes. An adjustment of which all is as before
    already counts as undone, so that the next undo comes to the one before.

    Raises NotFoundError when there is none, GoneError when all its VEs were removed, RctlError when a limit was changed
    since (``options.force`` overwrites it).
    """
    state = state or default_state()
    candidates = _standing(state) if wanted else undoable(state, tree)
    record = next((r for r in candidates if wanted in (None, r.id)), None)
    if record is None:
        what = f"{wanted}: no such adjustment, or it was undone already" if wanted else "undo: nothing left to undo"
        raise NotFoundError(f"{what}. See rctl history")
    if record.boot_id != host.boot_id:
        raise UsageError(f"{record.id}: is from before the last boot; its VEs are gone. Nothing to undo")
    left = _left(tree, record)
    if not left:
        raise GoneError(f"{record.id}: its VEs were removed; what has their names now is another. Nothing to undo")
    options = msgspec.structs.replace(options, undoes=record.id)
    wished = [wish for wish in wishes(tree, record) if tree.path(wish.name) in left]
    account = transact(tree, wished, host.boot_id, options, progress, state)
    notes = [f"{path}: was removed; there is nothing to undo there" for path in _paths(record) if path not in left]
    if account.id is None and not options.dry_run:
        empty = Record(new_id(), time.time(), host.boot_id, options.command, {}, (), record.id)
        notes += [f"{record.id}: all is as it was before; it counts as undone", *Journal(state, empty).close(done=True)]
    return msgspec.structs.replace(account, notes=(*account.notes, *notes))


def _paths(record: Record) -> list[str]:
    """The cgroups that the adjustment was about; where it only enabled controllers, those that it did that in."""
    return list(dict.fromkeys(step.path for step in record.steps if isinstance(step, Set))) or list(record.inodes)


def _left(tree: Tree, record: Record) -> set[str]:
    """Which of them are still there, and not others of the same name."""
    found = set()
    for path in _paths(record):
        with suppress(NotFoundError), tree.walk(path) as cgroup:
            if cgroup.ino == record.inodes[path]:
                found.add(path)
    return found


def wishes(tree: Tree, record: Record) -> list[Wish]:
    """What has to be so again before the record's adjustment is taken back, by VE."""
    first: dict[tuple[str, str, str], Set] = {}
    last: dict[tuple[str, str, str], Set] = {}
    for step in record.steps:
        if isinstance(step, Set):
            first.setdefault((step.path, step.file, step.key), step)
            last[step.path, step.file, step.key] = step
    found = []
    for path in dict.fromkeys(step.path for step in first.values()):
        own = {entry: step for entry, step in first.items() if entry[0] == path}
        writes = tuple(w for step in own.values() for w in _writes(step))
        expected = {(f, k): last[p, f, k].new for (p, f, k), step in own.items() if step.exact}
        found.append(Wish(tree.name(path), _once(writes), expected, record.inodes[path]))
    return found


def _writes(step: Set) -> list[Write]:
    file = file_named(step.file)
    own = [Write(file, step.old, step.key, exact=step.exact)]
    besides = [Write(file_named(name), old) for name, old in step.disturbed if file_named(name) in file.disturbs]
    return [w for w in own + besides if w.file.settable(w.wanted)]


def _once(writes: tuple[Write, ...]) -> tuple[Write, ...]:
    """Each entry once; the first wish for it stands."""
    found: dict[tuple[str, str], Write] = {}
    for write in writes:
        found.setdefault((write.file.name, write.key), write)
    return tuple(found.values())
