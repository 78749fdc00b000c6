"""Adjustments of cgroups that are not there now, but whose owner still stores what was set: of a stopped unit or
container. They are taken back in what the owner stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ...cgroupfs.tree import Tree
from ...errors import RctlError
from .. import writers
from ..account import Account, outcomes
from ..records.history import Record
from ..steps import SetThrough


def stored_steps(tree: Tree, record: Record) -> list[SetThrough]:
    """The steps of the adjustment that are stored for cgroups that are not there now, newest first.

    Raises NotAvailableError if an owner does not answer.
    """
    return [
        step
        for step in reversed(record.steps)
        if isinstance(step, SetThrough) and not tree.exists(step.path) and writers.stored(step)
    ]


def put_back(tree: Tree, steps: Sequence[SetThrough], *, dry_run: bool) -> Account:
    """Give the owners their old forms back. What somebody else has stored since stays.

    Returns an account without an id. Raises RctlError if an owner refuses it or does not answer; it may be tried again.
    """
    for step in () if dry_run else steps:
        writers.put_back(step)
    names = {step.path: tree.name(step.path) for step in steps}
    back = [msgspec.structs.replace(step, old=step.new, new=step.old, own=step.kept, kept=step.own) for step in steps]
    notes = tuple(f"{name}: is stopped; it gets this when it starts" for name in names.values())
    return Account(None, outcomes(names, back, "planned" if dry_run else "changed"), notes)


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
