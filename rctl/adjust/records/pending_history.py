"""Finished adjustments whose lines could not be added to the history (full disk, no free descriptor): added later.

Until then ``undo`` takes nothing back, because it would take back an older adjustment instead.
"""

from __future__ import annotations

from ...errors import RctlError
from ..state_folder import State
from .journal import ForeignError, Journal, UnwrittenError, set_aside, unwritten


def add(state: State) -> tuple[list[str], list[str]]:
    """Add the lines that the history lacks, oldest first, up to the first failure.

    It needs no lock, because it changes no VE. Returns lines for people: the added ones, and the failures.
    """
    told: list[str] = []
    names = unwritten(state)
    for number, name in enumerate(names, 1):
        try:
            if (journal := Journal.adopt(state, name)) is not None:
                told.append(finish(journal))
        except ForeignError as error:
            told.append(set_aside(state, name, error))
        except RctlError as error:
            more = f" (and {len(names) - number} more like it)" if number < len(names) else ""
            return told, [f"{error}{more}"]
    return told, []


def finish(journal: Journal) -> str:
    """Add the line of one journal. Returns a line for people. Raises UnwrittenError; then the journal stays."""
    record = journal.record
    what = f"{record.id} ({record.command or 'adjustment'})"
    if journal.told():
        journal.close(done=False)
    elif notes := journal.close(done=True):
        raise UnwrittenError(f"{what}: {notes[0]}")
    return f"recovered {what}: it had ended, and is in the history now"
