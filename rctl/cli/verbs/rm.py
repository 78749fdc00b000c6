"""``rctl rm``: remove VEs."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Exit, Option, changes
from ...console.flags import Json, Names, seconds


@changes
def rm(
    names: Names,
    kill: Annotated[bool, Option("--kill", help="End its processes first (SIGKILL)")] = False,
    dry_run: Annotated[bool, Option("--dry-run", "-n", help="Show what would be removed, change nothing")] = False,
    json: Json = False,
    deadline: Annotated[
        str, Option("--deadline", metavar="TIME", help="Longest to wait for processes to end: 10s, 2min")
    ] = "10s",
) -> None:
    """Remove VEs.

    If one of them has processes, none is removed, unless --kill is given.

    rctl names a VE that is missing, or that got processes meanwhile, and removes the others. The exit status is then 1.
    """
    from ...console.output import as_json, done, warn
    from ...console.session import session

    with session() as s:
        found = s.remove(*names, kill=kill, deadline=seconds(deadline), dry_run=dry_run)
    for note in found.notes:
        warn(note)
    done(*([as_json(found.told)] if json else [f"{name}: {what}" for name, what in found.told.items()]))
    if not found.complete:
        raise Exit(1)
