"""``rctl thaw``: let the processes of frozen VEs continue."""

from __future__ import annotations

from ...console.declare import changes
from ...console.flags import Json, Names, Wait, seconds


@changes
def thaw(names: Names, json: Json = False, deadline: Wait = "10s") -> None:
    """Let the processes of frozen VEs continue, all VEs or none.

    Example: rctl thaw web1
    """
    from ...console.output import report
    from ...console.session import session

    with session() as s:
        report(s.thaw(*names, deadline=seconds(deadline)), json=json)
