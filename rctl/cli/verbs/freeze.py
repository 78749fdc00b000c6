"""``rctl freeze``: stop all processes of VEs."""

from __future__ import annotations

from ...console.declare import changes
from ...console.flags import Json, Names, Wait, seconds


@changes
def freeze(names: Names, json: Json = False, deadline: Wait = "10s") -> None:
    """Stop all processes of VEs until rctl thaw, all VEs or none.

    Waits until every process has stopped.

    Example: rctl freeze web1
    """
    from ...console.output import report
    from ...console.session import session

    with session() as s:
        report(s.freeze(*names, deadline=seconds(deadline)), json=json)
