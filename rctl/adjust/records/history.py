"""The history: finished adjustments, one JSON line each, for ``rctl undo`` and ``rctl history``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice

from ...errors import RctlError, explained
from ..state_folder import State
from . import log_files
from .record_format import NewerRecordError, decode
from .record_format import Record as Record

_TOLD = 3
"""Most lines without a record that are reported."""


def append(state: State, path: str, line: bytes) -> None:
    """Add a line to ``state.history`` or ``state.failures``. Raises OSError."""
    folder = state.folder(state.keep)

    def leaving(parts: list[str], staying: list[str]) -> None:
        from .checkpoint import before_removal

        before_removal(state, folder, parts, staying)

    log_files.append(folder, path.rpartition("/")[2], line, leaving if path == state.history else None)


def latest(state: State, refused: list[str] | None = None, *, known: bool = False) -> Iterator[Record]:
    """Finished adjustments, newest first. Lines that the caller does not reach are not read.

    A line that is no record of this rctl is passed over, and so is an older part that is no file; ``refused`` gets a
    line for people about it. ``known``: at an adjustment of a newer rctl, raise RctlError, because its contents are not
    known; otherwise it is passed over, too. Raises RctlError.
    """
    tell: Callable[[str], object] = len if refused is None else refused.append
    name = os.path.basename(state.history)
    try:
        folder = state.folder_if_there(state.keep)
        found = (
            log_files.backwards(folder, name, lambda line: tell(f"{state.keep}/{line}")) if folder is not None else ()
        )
        for line in found:
            try:
                yield decode(line)
            except NewerRecordError as error:
                if known:
                    why = f"{error}, and may have undone those before it. Undo with that rctl"
                    raise RctlError(f"{state.history}: an adjustment {why}") from None
                tell(f"{state.history}: an adjustment {error}; it is not shown. Use that rctl")
            except ValueError as error:
                tell(f"{state.history}: a line is no record of rctl: {error}; it is passed over")
    except log_files.UnreadableError as error:
        raise RctlError(f"{state.keep}/{error}") from None
    except OSError as error:
        raise RctlError(f"{state.history}: cannot be read: {explained(error, 'See dmesg')}") from None


def newest(
    state: State,
    last: int | None,
    tell: Callable[[str], object],
    wanted: Callable[[Record], bool] | None = None,
    *,
    group: Callable[[Iterator[Record]], Iterator[Record]] = iter,
) -> list[Record]:
    """The ``last`` finished adjustments (``None``: all), newest first; only those for which ``wanted`` returns True.

    ``group``: makes one record of several before they are counted (``changes.grouped``).

    ``tell`` is called about lines that are no record.
    """
    refused: list[str] = []
    found = list(islice(filter(wanted, group(latest(state, refused))), last))
    for line in refused[:_TOLD]:
        tell(line)
    if len(refused) > _TOLD:
        tell(f"and {len(refused) - _TOLD} more lines like these")
    return found


def history(state: State) -> list[Record]:
    """All finished adjustments in the history, oldest first."""
    return list(latest(state))[::-1]
