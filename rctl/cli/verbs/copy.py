"""``rctl copy``: the limits of one VE for others."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, changes
from ...console.flags import DeadlineText, DryRun, Force, Json, NameOrPath, seconds


@changes
def copy(
    name: NameOrPath,
    names: Annotated[list[str], Argument(metavar="VE...", help="VEs that get its limits: names, paths or patterns")],
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Give VEs the limits of another VE, all or nothing.

    If the first VE has no limit for a key, the others get no limit for it either. Files that rctl does not know are not
    copied.

    Example: rctl copy web1 web2 'test*' --dry-run
    """
    from ...console.output import report
    from ...console.session import session

    with session() as s:
        report(s.copy(name, *names, deadline=seconds(deadline), force=force, dry_run=dry_run), json=json)
