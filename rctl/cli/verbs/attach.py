"""``rctl attach``: move running processes into a VE."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, changes
from ...console.flags import Json, Name, Thaw


@changes
def attach(
    name: Name,
    pids: Annotated[list[int], Argument(metavar="PID...", min=1, max=4194304, help="Process ids")],
    thaw: Thaw = False,
    json: Json = False,
) -> None:
    """Move running processes into a VE, all of them or none.

    rctl makes the VE if it is missing. Memory that the processes hold already stays charged to their old cgroup.
    """
    from ...console.output import as_json, done, warn
    from ...console.session import session

    with session() as s:
        account = s.attach(name, *pids, thaw=thaw)
    for note in account.notes:
        warn(note)
    done(as_json({"ve": name, "pids": pids}) if json else f"{name}: attached {' '.join(map(str, pids))}")
