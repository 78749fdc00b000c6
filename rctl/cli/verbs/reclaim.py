"""``rctl reclaim``: let the kernel free memory of a VE now, without a limit."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, Exit, Option, changes
from ...console.flags import DeadlineText, Json, Name, seconds


@changes
def reclaim(
    name: Name,
    size: Annotated[str, Argument(metavar="SIZE", help="The amount to free: 512M, 2G")],
    swappiness: Annotated[
        int | None,
        Option(
            min=0,
            max=200,
            metavar="NUMBER",
            help="0: free file cache only, do not swap; 200: swap first [vm.swappiness]",
        ),
    ] = None,
    json: Json = False,
    deadline: DeadlineText = "10s",
) -> None:
    """Free memory of a VE now, without a limit.

    The kernel frees file cache, and moves memory to swap. It kills no process. rctl prints how much was freed. The exit
    status is 1 if that is less than SIZE. Needs Linux 5.19 (memory.reclaim), and 6.11 for --swappiness.

    Example: rctl reclaim web1 512M
    """
    from ...console.output import as_json, done
    from ...console.session import session
    from ...units import human_size

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
        raise Exit(1)
