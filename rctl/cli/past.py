"""``rctl history``, ``undo`` and ``recover``: list adjustments, take them back, settle those that a crash left."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ..console.flags import DeadlineText, DryRun, Force, Json, seconds
from ..console.verb import changes

_NARROW = 80
"""A terminal with fewer columns shows the time without year and seconds; the ids contain these."""


@changes
def undo(
    adjustment: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An id from rctl history; without it, the last adjustment")
    ] = None,
    ve: Annotated[
        str | None, typer.Option("--ve", metavar="VE", help="Take back the last adjustment of this VE")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=1000, metavar="N", help="Take back the last N, until one fails")
    ] = 1,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Take back the last adjustment, or the one with this ID.

    --ve takes back the last adjustment of one VE. undo prints which adjustment it takes back. It stops if a limit or a
    label was changed since, unless --force is given, and if the VEs of the adjustment were removed. It freezes or thaws
    VEs only with an ID or --force. With --last, --json prints a list, and --dry-run shows each adjustment as if those
    before it were undone.
    """
    from msgspec.structs import asdict

    from ..adjust.undoing.undo import Undone, told
    from ..console.output import as_json, done, report, say
    from ..console.session import session

    found: list[dict[str, Any]] = []

    def show(one: Undone) -> None:
        record = one.record
        found.append({"undoes": {"id": record.id, "time": record.time, "command": record.command}})
        found[-1] |= asdict(one.account) if one.account else {"unreckoned": one.unreckoned}
        if not json:
            done(told(record, dry_run=dry_run))
            if one.account:
                report(one.account, json=False)
            else:
                done(f"  cannot be planned before those above are undone: {one.unreckoned}")

    with session() as s:
        try:
            s.undo(adjustment, ve=ve, last=last, deadline=seconds(deadline), force=force, dry_run=dry_run, each=show)
        finally:
            if json and found:
                (say if dry_run else done)(as_json(found if last > 1 else found[0]))


def history(
    names: Annotated[list[str] | None, typer.Argument(metavar="[VE...]", help="Only adjustments of these VEs")] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=1_000_000, metavar="N", help="Show the last N")] = 20,
    json: Json = False,
) -> None:
    """Show the last adjustments, newest first.

    VE may be a pattern, and may name a VE that is gone.

    Example: rctl history web1 --last 5
    """
    import time

    from ..adjust.steps import Disable, Enable, Label, Renew, Set
    from ..console import terminal
    from ..console.output import as_json, columns, say, warn
    from ..console.session import session

    with session() as s:
        shown = s.history(*names or (), last=last)
    undone = {record.undoes for record in shown}
    if json:
        say(as_json(shown))
        return
    if not shown:
        warn(f"no adjustments of {', '.join(names)}. See rctl history" if names else "no adjustments yet")
        return
    narrow = (terminal.width(sys.stdout) or _NARROW) < _NARROW
    form = "%m-%d %H:%M" if narrow else "%Y-%m-%d %H:%M:%S"
    rows = [
        (
            record.id,
            time.strftime(form, time.localtime(record.time)),
            str(len({step.path for step in record.steps if not isinstance(step, Enable | Disable | Renew)})),
            str(sum(isinstance(step, Set | Label) for step in record.steps)),
            "undo" if record.undoes else "undone" if record.id in undone else "",
            record.command,
        )
        for record in shown
    ]
    columns(
        ("ID", "TIME", "VES", "WRITES", "", "COMMAND"), rows, right=frozenset({2, 3}), spare=(3, 2), whole=(0, 1, 4)
    )


@changes
def recover(json: Json = False, deadline: DeadlineText = "10s") -> None:
    """Complete or put back adjustments that a crash left open.

    An adjustment is completed if every value had been written; otherwise it is put back. recover prints which.
    """
    from ..console.output import as_json, done
    from ..console.session import session
    from ..errors import RctlError

    with session() as s:
        try:
            told = s.recover(deadline=seconds(deadline))
        except RctlError as error:
            if error.settled or json:
                done(*([as_json(error.settled)] if json else error.settled))
            raise
    done(*([as_json(told)] if json else told or ["nothing to recover"]))
