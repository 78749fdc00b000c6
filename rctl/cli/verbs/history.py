"""``rctl history``: the last adjustments."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

from ...console.declare import Argument, Option
from ...console.flags import Json

if TYPE_CHECKING:
    from ...adjust.records.record_format import Record

_NARROW = 80
"""A terminal with fewer columns shows the time without year and seconds; the ids contain these."""


def history(
    names: Annotated[list[str] | None, Argument(metavar="[VE...]", help="Only adjustments of these VEs")] = None,
    last: Annotated[int, Option("--last", min=1, max=1_000_000, metavar="N", help="Show the last N")] = 20,
    json: Json = False,
) -> None:
    """Show the last adjustments, newest first.

    VE may be a pattern, and may name a VE that is gone. A rolling change is one line with the number of its batches,
    and a ramp one with its steps; --json lists these as parts.

    Example: rctl history web1 --last 5
    """
    import time

    from ...adjust.records.changes import WholeChange
    from ...adjust.steps import Disable, Enable, Label, Renew, Set
    from ...console import terminal
    from ...console.output import as_json, columns, say, warn
    from ...console.session import session

    with session() as s:
        shown = s.history(*names or (), last=last)
    undone = {record.undoes for record in shown}
    if json:
        say(as_json(shown))
        return
    if not shown:
        warn(f"no adjustments of {', '.join(names)}. See rctl history" if names else "no adjustments yet")
        return

    def parts(record: Record) -> str:
        return f"{len(record.parts)} parts" if isinstance(record, WholeChange) else ""

    narrow = (terminal.width(sys.stdout) or _NARROW) < _NARROW
    form = "%m-%d %H:%M" if narrow else "%Y-%m-%d %H:%M:%S"
    rows = [
        (
            record.id,
            time.strftime(form, time.localtime(record.time)),
            str(len({step.path for step in record.steps if not isinstance(step, Enable | Disable | Renew)})),
            str(sum(isinstance(step, Set | Label) for step in record.steps)),
            ", ".join(filter(None, [_state(record, undone), parts(record)])),
            record.command,
        )
        for record in shown
    ]
    columns(
        ("ID", "TIME", "VES", "WRITES", "", "COMMAND"), rows, right=frozenset({2, 3}), spare=(3, 2), whole=(0, 1, 4)
    )


def _state(record: Record, undone: Collection[str | None]) -> str:
    return "undo" if record.undoes else "undone" if record.id in undone else ""
