"""After a crash: a journal that nobody holds is rolled forward when all of it was written, else rolled back."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator
from contextlib import ExitStack

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import memory
from ..errors import BusyError, NotAvailableError, NotFoundError, RctlError, RollbackError
from ..limits import file_named
from ..units import level
from .history import Record
from .journal import Journal, left_open, peek, sweep
from .lock import Locks
from .plan import Enable, Set, Step
from .rollback import roll_back
from .state import State

_SHORT = 1.0  # seconds for memory of VEs that the adjustment at hand is not about


def recover(tree: Tree, boot_id: str, state: State, deadline: float, wait: float = 30.0) -> list[str]:
    """Settle every journal that a crash left open, newest first. Returns a line for each, for people.

    ``wait``: seconds to wait for adjustments of the same VEs. Raises RollbackError when something cannot be put back;
    that journal then stays. BusyError when a VE stays locked.
    """
    sweep(state)
    told = []
    for name in reversed(left_open(state)):
        if (journal := Journal.adopt(state, name)) is None:
            continue
        journal.abandon()  # the VEs' locks come first, as everywhere
        with Locks(state, wait) as locks:
            locks.take((ino, path) for path, ino in journal.record.inodes.items())
            told += _settled(tree, boot_id, state, name, deadline)
    return told


def recover_for(
    tree: Tree, boot_id: str, state: State, deadline: float, locks: Locks, own: Container[int], until: float
) -> list[str]:
    """Before an adjustment that holds the locks of the inodes in ``own``: settle journals that speak of them.

    They must be settled, or what would be planned is not true; ``until`` (monotonic) limits the wait for another
    process that is settling one. Others are settled when that is possible at once, and else told. Returns lines for
    people. Raises as ``recover``.
    """
    told: list[str] = []
    if not os.listdir(state.journals):
        return told
    sweep(state)
    for name in reversed(left_open(state)):
        record = peek(state, name)
        if record is None:
            continue
        others = [(ino, path) for path, ino in record.inodes.items() if ino not in own]
        if len(others) < len(record.inodes):
            while not (done := _settled(tree, boot_id, state, name, deadline)) and peek(state, name):
                if time.monotonic() > until:
                    raise BusyError(f"{record.id}: another process is recovering it. Wait, and try again")
                time.sleep(0.01)
            told += done
            continue
        with locks.also(others) as free:
            try:
                told += _settled(tree, boot_id, state, name, _SHORT) if free else []
            except RctlError as error:
                told.append(f"{error} (other VEs than these)")
    return told


def _settled(tree: Tree, boot_id: str, state: State, name: str, deadline: float) -> list[str]:
    """Settle one journal, the locks being held. Empty when its process lives, or it went meanwhile."""
    journal = Journal.adopt(state, name)
    if journal is None:
        return []
    try:
        return [_settle(tree, boot_id, journal, deadline)]
    except BaseException:
        journal.abandon()
        raise


def _settle(tree: Tree, boot_id: str, journal: Journal, deadline: float) -> str:
    record = journal.record
    what = f"{record.id} ({record.command or 'adjustment'})"
    if record.boot_id != boot_id:
        journal.close(done=False)
        return f"recovered {what}: nothing to do, its VEs went with the last boot"
    if journal.told():
        journal.close(done=False)
        return f"recovered {what}: rolled forward, it had ended"
    with ExitStack() as stack:
        cgroups = _present(tree, record, stack)
        own = [step for step in record.steps if step.path in cgroups]
        finals = _finals(own)
        if all(_now(cgroups, step) == step.new for step in finals.values()):
            journal.close(done=True)
            return f"recovered {what}: rolled forward, all of it had been written"
        foreign = {key for key, step in finals.items() if not _ours(cgroups, own, step)}
        left = roll_back(list(_ours_to_put_back(_once(own), foreign)), cgroups, deadline)
        if left:
            raise RollbackError(f"{what}: not put back: {'; '.join(left)}. Mend the cause and run rctl recover again")
        journal.close(done=False)
    kept = "".join(
        f"; {path}: {file} was changed by somebody else since and stays" for path, file, _ in sorted(foreign)
    )
    return f"recovered {what}: rolled back to what was there before{kept}"


def _present(tree: Tree, record: Record, stack: ExitStack) -> dict[str, Cgroup]:
    """Handles on the cgroups that are still the same ones."""
    found: dict[str, Cgroup] = {}
    for path, ino in record.inodes.items():
        try:
            cgroup = stack.enter_context(tree.walk(path))
        except NotFoundError:
            continue
        if cgroup.ino == ino:
            found[path] = cgroup
    return found


def _key(step: Step) -> tuple[str, str, str]:
    return (step.path, step.file, step.key) if isinstance(step, Set) else (step.path, "", "")


def _finals(steps: list[Step]) -> dict[tuple[str, str, str], Set]:
    """The last step on each entry."""
    return {_key(step): step for step in steps if isinstance(step, Set)}


def _once(steps: list[Step]) -> list[Step]:
    """One step for each entry, from its first old value to its last new one: not every step had been run."""
    finals = _finals(steps)
    found: dict[tuple[str, str, str], Step] = {}
    for step in steps:
        if isinstance(step, Set):
            found.setdefault(_key(step), msgspec.structs.replace(step, new=finals[_key(step)].new))
        elif isinstance(step, Enable):
            found[step.path, "", ""] = step
    return list(found.values())


def _ours_to_put_back(steps: list[Step], foreign: set[tuple[str, str, str]]) -> Iterator[Step]:
    """All steps but those on foreign entries; controllers that such an entry needs stay enabled."""
    for step in steps:
        if isinstance(step, Enable):
            below = step.path.rstrip("/") + "/"
            used = {file_named(file).controller for path, file, _ in foreign if path.startswith(below)}
            names = tuple(name for name in step.controllers if name not in used)
            if names:
                yield Enable(step.path, names)
        elif _key(step) not in foreign:
            yield step


def _now(cgroups: dict[str, Cgroup], step: Set) -> str | None:
    try:
        return file_named(step.file).entry(cgroups[step.path].read(step.file), step.key)
    except NotAvailableError:
        return None  # the controller had not been enabled yet


def _ours(cgroups: dict[str, Cgroup], steps: list[Step], final: Set) -> bool:
    """Whether the entry is still one that this adjustment found, or wrote on its way."""
    known = {
        value for step in steps if isinstance(step, Set) and _key(step) == _key(final) for value in (step.old, step.new)
    }
    disturbed = any(final.file == name for step in steps if isinstance(step, Set) for name, _ in step.disturbed)
    now = _now(cgroups, final)
    if now is not None and final.file == memory.HIGH.name:  # lowered little by little
        return level(final.new) <= level(now) or now in known
    return now is None or now in known or disturbed or not final.exact
