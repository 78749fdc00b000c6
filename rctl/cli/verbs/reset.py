"""``rctl reset``: limits back to what a new VE has."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, changes
from ...console.flags import DeadlineText, DryRun, Force, Json, seconds


@changes
def reset(
    selected: Annotated[
        list[str], Argument(metavar="VE... KEY...", help="Names, /paths or patterns, then limits: memory.max")
    ],
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Set limits of VEs back to what a new VE has, all or nothing.

    vcpus resets cpuset.cpus and cpu.max. io.max resets the rates of all devices. If a VE has the name of a limit, write
    it first, or write its /path.

    Example: rctl reset web1 'test*' memory.max cpu.max
    """
    from ...console.output import report
    from ...console.session import session
    from ...errors import UsageError
    from ...limits import is_key

    keys = [word for word in selected[1:] if is_key(word)]
    names = [selected[0], *(word for word in selected[1:] if not is_key(word))]
    if len(selected) == 1:
        raise UsageError(f"KEY is missing. Write: rctl reset {selected[0]} memory.max; rctl show lists its limits")
    if not keys:
        keys = [names.pop()]  # it is not a key; the error then says so
    with session() as s:
        report(s.reset(names, *keys, deadline=seconds(deadline), force=force, dry_run=dry_run), json=json)
