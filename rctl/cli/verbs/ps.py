"""``rctl ps``: the processes of VEs."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument
from ...console.flags import Json

HEAD = ("VE", "PID", "USER", "CPU", "MEMORY", "COMMAND")


def ps(
    names: Annotated[
        list[str] | None,
        Argument(metavar="[VE...]", help="Names or patterns; without any, all of rctl's own VEs"),
    ] = None,
    json: Json = False,
) -> None:
    """List the processes of VEs.

    CPU is the CPU time that a process has used so far. MEMORY is its resident memory.

    Example: rctl ps 'web*'
    """
    from ...console.output import as_json, columns, say, warn
    from ...console.session import session
    from ...console.terminal import clock
    from ...units import human_size

    with session() as s:
        found = s.ps(*names or ())
    if json:
        say(as_json(found))
        return
    if not found:
        warn("no processes in these VEs")
        return
    rows = [(p.ve, str(p.pid), p.user, clock(p.cpu), human_size(p.memory), p.command) for p in found]
    columns(HEAD, rows, right=frozenset({1, 3, 4}), names=(0,))
