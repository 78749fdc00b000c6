"""``rctl restore``: desired limits back, after a boot."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, Exit, changes
from ...console.flags import DeadlineText, DryRun, Force, Json, seconds


@changes
def restore(
    patterns: Annotated[
        list[str] | None, Argument(metavar="[VE...]", help="Names, /paths or patterns; without them, all")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Put all desired limits back, as after a boot.

    rctl makes its own VEs anew, with their limits and labels. It names containers, units and other cgroups that are not
    there now; rctl keep waits for them. If a limit cannot come back, all others still do; the exit status is then 1.
    """
    from ...console.output import as_json, done, report, say, warn
    from ...console.session import session

    with session() as s:
        found = s.restore(*patterns or (), deadline=seconds(deadline), force=force, dry_run=dry_run)
    if json:
        (say if dry_run else done)(as_json(found))
    else:
        for account in found.accounts:
            report(account, json=False)
        if found.waiting:
            warn(f"{len(found.waiting)} not there now: {', '.join(found.waiting)}")
        for name, why in found.failed.items():
            warn(f"{name}: cannot get all its limits back: {why}")
        if not any(account.outcomes for account in found.accounts) and not found.failed:
            done("all desired limits are in force")
    if found.failed:
        raise Exit(1)
