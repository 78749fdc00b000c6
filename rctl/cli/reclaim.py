"""``rctl reclaim``: have the kernel free memory of a VE now, without a limit."""

from __future__ import annotations

from typing import Annotated

import typer

from .flags import DeadlineText, Json, Name, seconds


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
    from ..adjust.shrink import free
    from ..cgroupfs.tree import Tree
    from ..errors import UsageError
    from ..units import MAX, Size, human_size
    from .output import as_json, done, tell

    try:
        asked = Size.parse(size).amount
    except ValueError:
        raise UsageError(f"reclaim: {size[:64]!r} is not understood. Write it like 512M or 1.5G") from None
    if asked is MAX or not asked:
        raise UsageError(f"reclaim: {size}: say how much. Write it like 512M")
    wait = seconds(deadline)
    with Tree.open() as tree, tree.open_ve(name) as ve:

        def heard(freed: int) -> None:
            tell(f"{name}: {human_size(freed)} of {human_size(asked)} freed")

        freed = free(ve, asked, wait, heard, swappiness)
        current = int(ve.read("memory.current"))
    short = freed < asked
    why = f"; the kernel finds no more within {wait:g} s. Add swap, or raise --deadline" if short else ""
    data = {"ve": name, "asked": asked, "freed": freed, "current": current}
    text = f"{name}: {human_size(freed)} of {human_size(asked)} freed, {human_size(current)} in use{why}"
    done(as_json(data) if json else text)
    if short:
        raise typer.Exit(1)
