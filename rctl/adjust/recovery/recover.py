"""After a crash: a journal that no process holds is rolled forward if all of it was written, otherwise rolled back.

A file that is no journal of this rctl is set aside, so that it does not block others.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from contextlib import suppress

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import BusyError, GoneError, NotFoundError, RctlError, RollbackError, note_outcome
from .. import writers
from ..enabling.disable import take_all_back
from ..lifecycle import remove, ve_cgroup
from ..locks import Locks
from ..planning import partitions
from ..records import pending_history
from ..records.journal import (
    HALF_DONE,
    ForeignError,
    Journal,
    UnwrittenError,
    any_open,
    left_open,
    peek,
    set_aside,
    sweep,
)
from ..records.record_format import Record
from ..site import Site
from ..state_folder import make
from ..steps import Make, Remove, lasts
from .leftovers import Left
from .rollback import put_back_stored, roll_back
from .still_there import Present

_SHORT = 1.0  # seconds for memory of VEs of other adjustments


def recover(site: Site, deadline: float, wait: float = 30.0) -> list[str]:
    """Settle every journal that a crash left open, newest first. Returns a line for each, for people.

    An adjustment under way in another process is left alone, and reported. ``wait``: seconds to wait for adjustments of
    the same VEs; ``site.progress`` is called about that. Raises RollbackError if something cannot be put back (that
    journal stays) or a file is no journal (it is set aside); all others are settled before, and are in the error's
    ``settled``. Raises BusyError if only locked VEs kept some from being settled, UnwrittenError if only the history
    did.
    """
    from ..records import under_way

    state = make(site.state)
    sweep(state)
    told, refused = pending_history.add(state)
    failed: list[RctlError] = [UnwrittenError(line) for line in refused]
    try:
        for name in reversed(left_open(state, aside=True)):
            try:
                told += _settled_alone(site, name, deadline, wait)
            except ForeignError as error:
                failed.append(RollbackError(set_aside(state, name, error)))
            except RctlError as error:
                failed.append(error)
        if not failed:
            return told + [f"under way: {one}" for one in under_way.under_way(state)]
    except KeyboardInterrupt as stop:
        for line in told:
            stop.add_note(line)
        raise
    raise _together(failed, told)


def _together(failed: list[RctlError], told: list[str]) -> RctlError:
    """One error for all adjustments that could not be settled."""
    kinds = {type(error) for error in failed}
    kind = kinds.pop() if len(kinds) == 1 and kinds <= {BusyError, UnwrittenError} else RollbackError
    together = kind("; ".join(map(str, failed)))
    together.settled = tuple(told)
    return together


def _settled_alone(site: Site, name: str, deadline: float, wait: float) -> list[str]:
    journal = Journal.adopt(site.state, name)
    if journal is None:
        return []
    journal.abandon()  # the VEs' locks come first, as everywhere
    with Locks(site.state, wait, site.progress) as locks:
        locks.take((ino, path) for path, ino in journal.record.inodes.items())
        return _settled(site, name, deadline)


def recover_for(
    site: Site, deadline: float, locks: Locks, own: Iterable[Cgroup], until: float, apart: str = ""
) -> list[str]:
    """Before an adjustment that holds the locks of the cgroups in ``own``: settle the journals about these cgroups.

    They must be settled, otherwise the plan would not be true; ``until`` (monotonic) limits the wait for another
    process that is settling one. The journal with the id ``apart`` is the adjustment's own. Other journals are settled
    if that is possible at once, and reported otherwise. A file that is no journal is set aside and reported; so is a
    finished one whose line the history cannot take. Returns lines for people. Raises as ``recover``.
    """
    state = site.state
    told: list[str] = []
    if not any_open(state):
        return told
    inodes = {cgroup.ino for cgroup in own}
    sweep(state)
    for lines in pending_history.add(state):
        told += lines
    for name in reversed(left_open(state)):
        if name == f"{apart}.json":
            continue
        try:
            told += _before(site, name, deadline, locks, inodes, until)
        except ForeignError as error:
            told.append(set_aside(state, name, error))
    return told


def _before(site: Site, name: str, deadline: float, locks: Locks, own: Container[int], until: float) -> list[str]:
    """``recover_for`` for one journal. Also raises ForeignError."""
    state = site.state
    try:
        record = peek(state, name)
    except ForeignError:
        if (journal := Journal.adopt(state, name)) is not None:  # it raises ForeignError, unless its process lives
            journal.abandon()
        return []
    if record is None:
        return []
    others = [(ino, path) for path, ino in record.inodes.items() if ino not in own]
    if len(others) < len(record.inodes):
        while not (done := _settled(site, name, deadline)) and peek(state, name):
            if time.monotonic() > until:
                raise BusyError(f"{record.id}: another process is recovering it. Wait, and try again")
            time.sleep(0.01)
        return done
    with locks.also(others) as free:
        try:
            return _settled(site, name, _SHORT) if free else []
        except ForeignError:
            raise
        except RctlError as error:
            return [f"{error} (other VEs than these)"]


def _settled(site: Site, name: str, deadline: float) -> list[str]:
    """Settle one journal; the caller holds the locks. Empty if its process lives, or it is gone."""
    journal = Journal.adopt(site.state, name)
    if journal is None:
        return []
    try:
        return [_settle(site, journal, deadline)]
    except BaseException as error:
        note_outcome(error, HALF_DONE if journal.open else "is settled")
        journal.abandon()
        raise


def _settle(site: Site, journal: Journal, deadline: float) -> str:
    if journal.ended:
        return pending_history.finish(journal)
    record = journal.record
    what = f"{record.id} ({record.command or 'adjustment'})"
    if not journal.back and journal.told():
        journal.close(done=False)
        return f"recovered {what}: rolled forward, it had ended"
    if record.boot_id != site.boot_id:
        return _settled_after_boot(journal, what)
    removes = [step.path for step in record.steps if isinstance(step, Remove)]
    forward = journal.forward and not journal.back
    gone = {path: record.inodes[path] for path in removes if forward and path in record.inodes}
    told = _settled_steps(site, journal, what, deadline)
    ve_cgroup.tidy(site.tree, record.steps, gone)
    return told


def _settled_after_boot(journal: Journal, what: str) -> str:
    """Put back what owners have stored for good."""
    forward = journal.forward and not journal.back
    stored = [] if forward else writers.for_good(journal.record.steps)
    if failed := [line for step in reversed(stored) for line in put_back_stored(step)]:
        raise _not_put_back(what, failed)
    journal.close(done=False)
    besides = "what is stored for them is as before" if stored else "nothing to do"
    return f"recovered {what}: {besides}, its VEs went with the last boot"


def _not_put_back(what: str, failed: list[str]) -> RollbackError:
    return RollbackError(f"{what}: not put back: {'; '.join(failed)}. Mend the cause and run rctl recover again")


def _settled_steps(site: Site, journal: Journal, what: str, deadline: float) -> str:
    record = journal.record
    with Present(site.tree, _inodes(site.tree, record)) as cgroups:
        if journal.forward and not journal.back:
            removes = [step for step in record.steps if isinstance(step, Remove)]
            notes = remove.take_all_away(removes, cgroups, deadline) + take_all_back(record.steps, cgroups)
            notes += partitions.renew_all(record.steps, cgroups)
            notes += journal.close(done=True)
            return "; ".join((f"recovered {what}: rolled forward, all of it is done", *notes))
        left = Left(record.steps, cgroups, record.inodes)
        if left.written and not journal.back:
            notes = partitions.renew_all(record.steps, cgroups)
            notes += journal.close(done=lasts(record.steps))
            return "; ".join((f"recovered {what}: rolled forward, all of it had been written", *notes))
        if failed := _put_back(journal, left, cgroups, deadline):
            raise _not_put_back(what, failed)
        journal.close(done=False)
        stay = [step.path for step in record.steps if isinstance(step, Make) and _is_there(cgroups, step.path)]
    kept = "".join(f"; {path}: {what} was changed by somebody else since and stays" for path, what in left.kept())
    kept += "".join(f"; {path}: somebody else has filled it since, and it stays" for path in stay)
    return f"recovered {what}: rolled back to what was there before{kept}"


def _inodes(tree: Tree, record: Record) -> dict[str, int]:
    """The record's cgroups, and those that it was about to make: the cgroups that have their names now."""
    found = dict(record.inodes)
    for step in record.steps:
        if isinstance(step, Make) and step.path not in found:
            found[step.path] = 0
            with suppress(NotFoundError), tree.walk(step.path) as cgroup:
                found[step.path] = cgroup.ino
    return found


def _is_there(cgroups: Present, path: str) -> bool:
    try:
        return path in cgroups and cgroups[path].alive()
    except GoneError:
        return False


def _put_back(journal: Journal, left: Left, cgroups: Present, deadline: float) -> list[str]:
    again = journal.back
    try:
        journal.decide_back()
    except OSError as error:
        return [f"{journal.state.journals}: {error.strerror}"]
    return roll_back(left.to_put_back(), cgroups, deadline, again=again)
