"""The history: finished adjustments, one JSON line each, for ``rctl undo`` and ``rctl history``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice

from ..errors import RctlError, explained
from . import lines
from .record import Record as Record
from .record import decode
from .state import State

_TOLD = 3
"""So many lines that are no record are told of."""


def append(state: State, path: str, line: bytes) -> None:
    """Add a line to ``state.history`` or ``state.failures``. Raises OSError."""
    lines.append(state.folder(state.keep), os.path.basename(path), line)


def latest(state: State, refused: list[str] | None = None) -> Iterator[Record]:
    """Finished adjustments, newest first. What is not read costs nothing.

    A line that is no record of this rctl is passed over, and so is an older part that is no file; ``refused`` gets a
    line for people about it. Raises RctlError.
    """
    name = os.path.basename(state.history)

    def passed_over(line: str) -> None:
        if refused is not None:
            refused.append(f"{state.keep}/{line}")

    try:
        folder = state.folder_if_there(state.keep)
        for line in lines.backwards(folder, name, passed_over) if folder is not None else ():
            try:
                yield decode(line)
            except ValueError as error:
                if refused is not None:
                    refused.append(f"{state.history}: a line is no record of rctl: {error}; it is passed over")
    except lines.UnreadableError as error:
        raise RctlError(f"{state.keep}/{error}") from None
    except OSError as error:
        raise RctlError(f"{state.history}: cannot be read: {explained(error, 'See dmesg')}") from None


def newest(
    state: State, last: int | None, tell: Callable[[str], object], wanted: Callable[[Record], bool] | None = None
) -> list[Record]:
    """The ``last`` so many finished adjustments (``None``: all), newest first; ``wanted``: of those that it takes.

    ``tell`` hears of lines that are no record.
    """
    refused: list[str] = []
    found = list(islice(filter(wanted, latest(state, refused)), last))
    for line in refused[:_TOLD]:
        tell(line)
    if len(refused) > _TOLD:
        tell(f"and {len(refused) - _TOLD} more lines like these")
    return found


def history(state: State) -> list[Record]:
    """All finished adjustments that are kept, oldest first."""
    return list(latest(state))[::-1]
