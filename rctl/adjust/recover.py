"""After a crash: a journal that nobody holds is rolled forward when all of it was written, else rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import NotAvailableError, NotFoundError, RollbackError
from ..limits import file_named
from .apply import roll_back
from .journal import Journal, Record, left_open, sweep
from .lock import Locks
from .plan import Enable, Set, Step
from .state import State


def recover(tree: Tree, boot_id: str, state: State, deadline: float) -> list[str]:
    """Settle every journal that a crash left open, newest first. Returns a line for each, for people.

    Raises RollbackError when something cannot be put back; that journal then stays.
    """
    sweep(state)
    told = []
    for name in reversed(left_open(state)):
        journal = Journal.adopt(state, name)
        if journal is not None:
            with Locks(state) as locks:
                locks.take((ino, path) for path, ino in journal.record.inodes.items())
                told.append(_settle(tree, boot_id, journal, deadline))
    return told


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
        left = roll_back(list(_ours_to_put_back(own, foreign)), cgroups, deadline)
        if left:
            journal.abandon()
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
    return now is None or now in known or disturbed or not final.exact
