"""What people and programs read: JSON, aligned columns, progress, one-line errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from ..adjust.account import Account
from ..adjust.progress import Event
from ..errors import RctlError
from ..units import Quantity, Ranges


def as_json(data: Any) -> str:
    """JSON for programs, indented; quantities as numbers, no limit as ``"max"``, number lists as the kernel's text."""
    return msgspec.json.format(msgspec.json.encode(data, enc_hook=_plain), indent=2).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Quantity):
        return value.amount
    if isinstance(value, Ranges):
        return str(value)
    raise NotImplementedError(type(value))


def say(text: str = "") -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"rctl: {text}\n")


def tell(text: str) -> None:
    """Progress of a long job, one line that is overwritten on a terminal; silent in a pipe."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:100]}")
        sys.stderr.flush()


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> None:
    """A table with aligned columns; bold head on a terminal. ``right``: columns that are aligned to the right."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for number, row in enumerate(table):
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        line = "  ".join(cells).rstrip()
        say(f"\x1b[1m{line}\x1b[0m" if number == 0 and sys.stdout.isatty() else line)


def progress(event: Event) -> None:
    """One line on a terminal that tells how a long adjustment goes; silent in a pipe."""
    if not sys.stderr.isatty() or event.what == "journal":
        return
    end = event.what == "close"
    percent = 100 * event.done // max(1, event.total)
    sys.stderr.write("\r\x1b[K" if end else f"\r\x1b[K{percent:3}% {event.text[:100]}")
    sys.stderr.flush()


def report(account: Account, *, json: bool, verbose: bool = True) -> None:
    """The account of an adjustment: every VE, what was done to it, and notes."""
    if json:
        say(as_json(account))
        return
    for note in account.notes:
        warn(note)
    for outcome in account.outcomes:
        say(f"{outcome.name}: {outcome.status}")
        for step in outcome.steps if verbose else ():
            say(f"  {step.describe().removeprefix(outcome.path + ': ')}")


def report_failure(error: RctlError) -> None:
    """One line for the error, then a line for every VE that the adjustment spoke of."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    warn(" ".join(str(error).split("\n")))
    for outcome in error.account.outcomes if error.account else ():
        sys.stderr.write(f"  {outcome.name}: {outcome.status}\n")
