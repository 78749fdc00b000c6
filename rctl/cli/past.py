"""``rctl history``, ``undo`` and ``recover``: what was done, taking it back, settling after a crash."""

from __future__ import annotations

from typing import Annotated

import typer

from .flags import DeadlineText, DryRun, Force, Json, command_line, seconds


def undo(
    adjustment: Annotated[
        str | None, typer.Argument(help="The adjustment's id from rctl history; unset: the last one")
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many, newest first, until one fails")] = 1,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Take back the last adjustments. A limit that was changed since is not overwritten, unless --force."""
    from ..adjust.engine import Options
    from ..adjust.state import default_state
    from ..adjust.undo import undo as take_back
    from ..adjust.undo import undoable
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from .output import progress, report

    options = Options(seconds(deadline), force=force, dry_run=dry_run, command=command_line())
    wanted: list[str | None] = (
        [adjustment] if adjustment else [*(r.id for r in undoable(default_state())[:last])] or [None]
    )
    with Tree.open() as tree:
        for number in wanted[:1] if dry_run else wanted:
            report(take_back(tree, this_host(), options, number, progress), json=json)


def history(
    last: Annotated[int, typer.Option("--last", min=1, help="Show so many")] = 20,
    json: Json = False,
) -> None:
    """Show the last adjustments, newest first."""
    import time

    from ..adjust.history import history as records
    from ..adjust.plan import Set
    from ..adjust.state import default_state
    from .output import as_json, columns, say

    found = list(records(default_state()))
    undone = {record.undoes for record in found}
    shown = list(reversed(found))[:last]
    if json:
        say(as_json(shown))
        return
    rows = [
        (
            record.id,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time)),
            str(len({step.path for step in record.steps})),
            str(sum(isinstance(step, Set) for step in record.steps)),
            "undo" if record.undoes else "undone" if record.id in undone else "",
            record.command,
        )
        for record in shown
    ]
    columns(("ID", "TIME", "VES", "WRITES", "", "COMMAND"), rows, right=frozenset({2, 3}))


def recover(json: Json = False, deadline: DeadlineText = "10s") -> None:
    """Settle adjustments that a crash left open: forward when all had been written, else back. Says which."""
    from ..adjust.recover import recover as settle
    from ..adjust.state import default_state, make
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from .output import as_json, say

    with Tree.open() as tree:
        told = settle(tree, this_host().boot_id, make(default_state()), seconds(deadline))
    say(*([as_json(told)] if json else told or ["nothing to recover"]))
