"""Take back the last adjustments, through the same engine: memory is shrunk gently here too, and all or nothing."""

from __future__ import annotations

import msgspec

from ..cgroupfs.tree import Tree
from ..errors import NotFoundError, UsageError
from ..formats import Write
from ..host import Host
from ..limits import file_named
from .apply import Progress, quiet
from .engine import Account, Options, Wish, transact
from .journal import Record, history
from .plan import Set
from .state import State, default_state


def undoable(state: State) -> list[Record]:
    """Adjustments that can still be taken back, newest first: neither undone already nor an undo themselves."""
    records = list(history(state))
    undone = {record.undoes for record in records}
    return [r for r in reversed(records) if r.undoes is None and r.id not in undone]


def undo(
    tree: Tree, host: Host, options: Options, wanted: str | None, progress: Progress = quiet, state: State | None = None
) -> Account:
    """Take back one adjustment: the one with the id ``wanted``, or the last one (``None``).

    Raises NotFoundError when there is none, GoneError when its VE was removed, RctlError when a limit was changed
    since (``options.force`` overwrites it).
    """
    state = state or default_state()
    candidates = undoable(state)
    record = next((r for r in candidates if wanted in (None, r.id)), None)
    if record is None:
        what = f"{wanted}: no such adjustment, or it was undone already" if wanted else "undo: nothing left to undo"
        raise NotFoundError(f"{what}. See rctl history")
    if record.boot_id != host.boot_id:
        raise UsageError(f"{record.id}: is from before the last boot; its VEs are gone. Nothing to undo")
    options = msgspec.structs.replace(options, undoes=record.id)
    return transact(tree, wishes(tree, record), host.boot_id, options, progress, state)


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
    own = [Write(file_named(step.file), step.old, step.key, exact=step.exact)]
    besides = [Write(file_named(name), old) for name, old in step.disturbed]
    return [w for w in own + besides if w.file.settable(w.wanted)]


def _once(writes: tuple[Write, ...]) -> tuple[Write, ...]:
    """Each entry once; the first wish for it stands."""
    found: dict[tuple[str, str], Write] = {}
    for write in writes:
        found.setdefault((write.file.name, write.key), write)
    return tuple(found.values())
