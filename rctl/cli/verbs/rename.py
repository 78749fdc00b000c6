"""``rctl rename``: another name for an empty VE."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, changes
from ...console.flags import Json, Name


@changes
def rename(
    name: Name,
    new: Annotated[str, Argument(metavar="NEW", help="Its new name")],
    json: Json = False,
) -> None:
    """Give an empty VE another name.

    A VE with processes keeps its name, because the kernel cannot rename a cgroup.

    Example: rctl rename web1 web2
    """
    from ...console.output import as_json, done, warn
    from ...console.session import session

    with session() as s:
        account = s.rename(name, new)
    for note in account.notes:
        warn(note)
    done(as_json({"ve": new, "before": name}) if json else f"{name}: is {new} now")
