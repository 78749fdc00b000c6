"""``rctl setup``: units, completion and man pages on this host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from ...console.declare import Argument, Option, changes
from ...console.flags import Json

if TYPE_CHECKING:
    from ...setup.plan import SetupStep


@changes
def setup(
    parts: Annotated[
        list[str] | None,
        Argument(metavar="[PART...]", help="restore, keep, exporter, completion, man; without them, all"),
    ] = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do it; without this, only show what would be done")] = False,
    start: Annotated[bool, Option("--start", help="Start keep and the exporter, too, now and at each boot")] = False,
    remove: Annotated[
        bool, Option("--remove", help="Stop the units, and remove the files that rctl setup wrote")
    ] = False,
    force: Annotated[
        bool, Option("--force", help="Replace files that were edited, or that rctl setup did not write")
    ] = False,
    json: Json = False,
) -> None:
    """Write units of systemd, completion and man pages for this rctl.

    For root, the files are for all users, and the units are the system's; else they are yours. restore is enabled: it
    puts desired limits back at each boot. keep and the exporter are enabled and started with --start; the exporter
    listens on this host alone. Run it again after rctl was moved or upgraded; what is right already is left alone.

    Example: rctl setup; rctl setup --yes; rctl setup keep exporter --start --yes; rctl setup --remove --yes
    """
    from ...console.output import as_json, done, say, warn
    from ...errors import UsageError
    from ...setup.carry_out import carry_out
    from ...setup.host import facts
    from ...setup.prepare import plain, prepare
    from ..manual.pages import pages

    if remove and start:
        raise UsageError("setup: --start is not for --remove. Leave one of them out")
    host = facts()
    plan = prepare(parts or (), host, pages, start=start, force=force, remove=remove)
    if yes:
        carry_out(plan.steps, host)
    if json:
        steps = [plain(step) for step in plan.steps]
        done(as_json({"done": yes, "steps": steps, "left_out": plan.left_out, "notes": plan.notes}))
        return
    for part, why in plan.left_out.items():
        warn(f"{part}: left out: {why}")
    nothing = "no file of rctl setup is here" if remove else "all of this is in place already"
    (done if yes else say)(*(_lines(plan.steps) or [nothing]))
    for note in plan.notes:
        warn(note)
    if plan.steps and not yes:
        warn("nothing is changed yet. To do this, add --yes")


def _lines(steps: Sequence[SetupStep]) -> list[str]:
    """The steps for people; the many man pages of a folder are one line."""
    found: dict[str, list[str]] = {}
    for step in steps:
        line = step.describe()
        found.setdefault(_family(line), []).append(line)
    return [same[0] if len(same) == 1 else f"{line} ({len(same)} pages)" for line, same in found.items()]


def _family(line: str) -> str:
    return re.sub(r"/man/(man\d)/rctl\S*", r"/man/\1/rctl*", line)
