"""``rctl freeze``: stop all processes of VEs."""

from __future__ import annotations

from typing import Annotated

import typer

from ...console.flags import Json, Names, seconds
from ...console.verb import changes

Wait = Annotated[
    str,
    typer.Option("--deadline", metavar="TIME", help="Longest to wait for the processes to stop or continue: 10s, 2min"),
]


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
