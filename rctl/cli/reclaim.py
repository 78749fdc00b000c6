"""``rctl reclaim``: have the kernel free memory of a VE now, without a limit."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console.flags import DeadlineText, Json, Name, seconds
from ..console.verb import changes


@changes
def reclaim(
    name: Name,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="How much: 512M, 2G")],
    swappiness: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=200,
            metavar="NUMBER",
            help="0: file cache alone, nothing to swap; up to 200: swap first. Unset: as vm.swappiness",
        ),
    ] = None,
    json: Json = False,
    deadline: DeadlineText = "10s",
) -> None:
    """Free memory of a VE now, without a limit.

    File cache goes, and what fits into swap. Nothing is killed. Says how much was freed; status 1 when that is less
    than was asked for. Needs Linux 5.19 (memory.reclaim), and 6.11 for --swappiness.

    Example: rctl reclaim web1 512M
    """
    from ..console.output import as_json, done
    from ..console.session import session
    from ..units import human_size

    wait = seconds(deadline)
    with session() as s:
        found = s.reclaim(name, size, swappiness=swappiness, deadline=wait)
    short = found.freed < found.asked
    why = f"; the kernel finds no more within {wait:g} s. Add swap, or raise --deadline" if short else ""
    text = (
        f"{name}: {human_size(found.freed)} of {human_size(found.asked)} freed, {human_size(found.current)} in use{why}"
    )
    done(as_json(found) if json else text)
    if short:
        raise typer.Exit(1)
