"""``rctl apply``: make VEs as a spec says. Only differences are written."""

from __future__ import annotations

import typer

from ...console.flags import DeadlineText, DryRun, Force, Json, Prune, SpecFile, seconds
from ...console.verb import changes


@changes
def apply(
    file: SpecFile,
    prune: Prune = False,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Make and change VEs to match a spec, all or nothing.

    rctl makes VEs that are missing, and writes only differences.
    """
    from ...console.output import as_json, done, report, say
    from ...console.session import session

    with session() as s:
        result = s.apply(file, prune=prune, deadline=seconds(deadline), force=force, dry_run=dry_run)
    tell = say if dry_run else done
    if json:
        tell(as_json(result))
    else:
        report(result.account, json=False)
    if any(outcome.status == "left alone" for outcome in result.account.outcomes):
        raise typer.Exit(1)
