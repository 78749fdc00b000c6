"""``rctl diff``: what ``rctl apply`` would change."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Exit, Option
from ...console.flags import Json, Prune, SpecFile


def diff(
    file: SpecFile,
    prune: Prune = False,
    json: Json = False,
    exit_code: Annotated[bool, Option("--exit-code", help="Exit with 1 if anything differs")] = False,
) -> None:
    """Show what rctl apply would change.

    + is a VE to make, ~ a change, - a VE to remove.
    """
    from ...adjust.steps import Make, Remove
    from ...console.output import as_json, say
    from ...console.session import session

    with session() as s:
        result = s.diff(file, prune=prune)
    lines = [f"+ {name}" for name in result.made]
    for outcome in result.account.outcomes:
        steps = [step for step in outcome.steps if not isinstance(step, Make | Remove)]
        lines += [f"~ {outcome.name}{step.describe().removeprefix(outcome.path)}" for step in steps]
    lines += [f"- {name}" for name in result.removed]
    if json:
        say(as_json(result))
    elif lines:
        say(*lines)
    if lines and exit_code:
        raise Exit(1)
