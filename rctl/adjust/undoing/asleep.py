"""Adjustments of cgroups that are not there now, but whose owner still stores what was set: of a stopped unit or
container. They are taken back in what the owner stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ...cgroupfs.tree import Tree
from ...errors import RctlError, UsageError
from .. import writers
from ..account import Account, outcomes
from ..records.history import Record
from ..records.record_format import named
from ..site import Site
from ..steps import Reclaim, Set, SetThrough, Want, by_entry


def stored_steps(tree: Tree, record: Record) -> list[SetThrough]:
    """The steps of the adjustment that are stored for cgroups that are not there now, newest first.

    Raises NotAvailableError if an owner does not answer.
    """
    return [
        step
        for step in reversed(record.steps)
        if isinstance(step, SetThrough) and not tree.exists(step.path) and writers.stored(step)
    ]


def after_boot(site: Site, record: Record) -> Record:
    """The adjustment as it counts now: of one from before the last boot, what owners have stored for good.

    Raises UsageError if that is not all of it.
    """
    if record.boot_id == site.boot_id:
        return record
    stored = tuple(writers.for_good(record.steps))
    if not stored:
        raise UsageError(f"{named(record)} is from before the last boot; its VEs are gone. Nothing to undo")
    entries = by_entry(stored)
    lost = [entry for entry, steps in by_entry(record.steps).items() if entry not in entries and not as_before(steps)]
    if lost or not all(isinstance(step, Set | Reclaim | Want) for step in record.steps):
        raise UsageError(
            f"{named(record)} is from before the last boot, and only a part of it is stored: the limits of "
            f"{', '.join(dict.fromkeys(site.tree.name(step.path) for step in stored))}. Set these again"
        )
    return msgspec.structs.replace(record, steps=stored, inodes={path: 0 for path, _, _ in entries})


def as_before(steps: Sequence[Set]) -> bool:
    """True if the entry is at the end as it was before, and so is what its owner knows of it."""
    through = [step for step in steps if isinstance(step, SetThrough)]
    return steps[0].old == steps[-1].new and (not through or through[0].kept == through[-1].own)


def put_back(tree: Tree, record: Record, steps: Sequence[SetThrough], *, dry_run: bool) -> Account:
    """Give the owners their old forms back. What somebody else has stored since stays.

    ``steps``: those of the record that are ``stored_steps``. Notes name what stays, and what its owner has removed.
    Returns an account without an id. Raises RctlError if an owner refuses it or does not answer; it may be tried again.
    """
    known = record.names or {}  # of containers, as they were called then
    called = {step.path: known.get(step.path) or tree.name(step.path) for step in steps}
    became = [(step, "put back" if dry_run else writers.put_back(step)) for step in steps]
    back = [
        msgspec.structs.replace(step, old=step.new, new=step.old, own=step.kept, kept=step.own)
        for step, how in became
        if how == "put back"
    ]
    names = {step.path: called[step.path] for step in back}
    notes = [f"{name}: is stopped; it gets this when it starts" for name in names.values()]
    for step, how in became:
        if how == "changed":
            notes.append(f"{called[step.path]}: {step.file} was changed since, and stays")
        elif how == "removed":
            notes.append(f"{called[step.path]}: was removed; there is nothing to undo there")
    return Account(None, outcomes(names, back, "planned" if dry_run else "changed"), tuple(dict.fromkeys(notes)))


@contextmanager
def noting(account: Account) -> Iterator[None]:
    """Note on an error of the rest of the undo what was put back before."""
    try:
        yield
    except RctlError as error:
        for outcome in account.outcomes:
            if outcome.status == "changed":
                error.add_note(f"{outcome.name}: is stopped, and has its old limits already")
        raise
