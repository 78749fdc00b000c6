"""``rctl export``: VEs as a spec."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument
from ...console.flags import Json


def export(
    names: Annotated[
        list[str] | None,
        Argument(metavar="[VE...]", help="Names or patterns; without any, all of rctl's own VEs"),
    ] = None,
    json: Json = False,
) -> None:
    """Print VEs as a spec for rctl apply.

    The spec is TOML and has the limits and labels of the VEs. rctl apply of it changes nothing, as long as the VEs stay
    as they are. Files that rctl does not know are left out. Units and containers are named with their kind; what a unit
    has by default or from its own file is left out.

    Example: rctl export >site.toml; rctl apply site.toml
    """
    import tomllib

    from ...console.output import as_json, say, warn
    from ...console.session import session

    with session() as s:
        text, notes = s.export(*names or ())
    for note in notes:
        warn(note)
    say(as_json(tomllib.loads(text))) if json else say(*text.split("\n"))
