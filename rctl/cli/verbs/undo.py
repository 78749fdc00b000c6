"""``rctl undo``: take back finished adjustments."""

from __future__ import annotations

from typing import Annotated, Any

from ...console.declare import Argument, Option, changes
from ...console.flags import DeadlineText, DryRun, Force, Json, seconds


@changes
def undo(
    adjustment: Annotated[
        str | None, Argument(metavar="[ID]", help="An id from rctl history; without it, the last adjustment")
    ] = None,
    ve: Annotated[str | None, Option("--ve", metavar="VE", help="Take back the last adjustment of this VE")] = None,
    last: Annotated[
        int, Option("--last", min=1, max=1000, metavar="N", help="Take back the last N, until one fails")
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

    from ...adjust.undoing.undo import Undone, told
    from ...console.output import as_json, done, report, say
    from ...console.session import session

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
