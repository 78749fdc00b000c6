"""``rctl history``, ``undo`` and ``recover``: what was done, taking it back, settling after a crash."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .flags import DeadlineText, DryRun, Force, Json, command_line, seconds


def undo(
    adjustment: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An id from rctl history; without it, the last adjustment")
    ] = None,
    ve: Annotated[
        str | None, typer.Option("--ve", metavar="VE", help="Take back the last adjustment of this VE")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=1000, metavar="N", help="Take back the last N, until one fails")
    ] = 1,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Take back the last adjustment, or the one with this ID.

    --ve takes back the last adjustment of one VE. undo says which adjustment it takes back. It stops when a limit was
    changed since, unless --force, and when the VEs of the adjustment were removed. It freezes or thaws VEs only with
    an ID or --force. With --last, --json prints a list.
    """
    from msgspec.structs import asdict

    from ..adjust import choose
    from ..adjust.engine import Options
    from ..adjust.state import default_state
    from ..adjust.undo import take_back
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..errors import RctlError, UsageError
    from .output import as_json, done, progress, report, say

    if adjustment and (ve or last > 1):
        raise UsageError("undo: an ID names one adjustment. Leave out --ve and --last")
    options = Options(seconds(deadline), force=force, dry_run=dry_run, command=command_line())
    host, state = this_host(), default_state()
    with Tree.open() as tree:
        if adjustment:
            records = [choose.by_id(state, adjustment)]
        elif ve:
            records = choose.newest_of(state, tree, host.boot_id, ve, last)
        else:
            records = choose.newest(state, tree, host.boot_id, last)
        told: list[dict[str, Any]] = []
        try:
            for number, record in enumerate(records):
                line = f"{'would undo' if dry_run else 'undo'} {choose.named(record)}"
                of = {"undoes": {"id": record.id, "time": record.time, "command": record.command}}
                if dry_run and number:  # its plan depends on those before it
                    told.append(of)
                    if not json:
                        done(line)
                    continue
                try:
                    account = take_back(tree, host, options, record, progress, state, asked=bool(adjustment))
                except RctlError as error:
                    error.add_note(line)
                    raise
                told.append(of | asdict(account))
                if not json:
                    done(line)
                    report(account, json=False)
        finally:
            if json and told:
                say(as_json(told if last > 1 else told[0]))


def history(
    last: Annotated[int, typer.Option("--last", min=1, max=1_000_000, metavar="N", help="Show the last N")] = 20,
    json: Json = False,
) -> None:
    """Show the last adjustments, newest first."""
    import time
    from itertools import islice

    from ..adjust.history import latest
    from ..adjust.plan import Disable, Enable, Set
    from ..adjust.state import default_state
    from .output import as_json, columns, say, warn

    refused: list[str] = []
    shown = list(islice(latest(default_state(), refused), last))
    undone = {record.undoes for record in shown}
    for line in refused[:3]:
        warn(line)
    if len(refused) > 3:
        warn(f"and {len(refused) - 3} more lines like these")
    if json:
        say(as_json(shown))
        return
    if not shown:
        warn("no adjustments yet")
        return
    rows = [
        (
            record.id,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time)),
            str(len({step.path for step in record.steps if not isinstance(step, Enable | Disable)})),
            str(sum(isinstance(step, Set) for step in record.steps)),
            "undo" if record.undoes else "undone" if record.id in undone else "",
            record.command,
        )
        for record in shown
    ]
    columns(("ID", "TIME", "VES", "WRITES", "", "COMMAND"), rows, right=frozenset({2, 3}), spare=(1,), whole=(0,))


def recover(json: Json = False, deadline: DeadlineText = "10s") -> None:
    """Settle adjustments that a crash left half done.

    An adjustment of which all was written is completed, any other is put back. recover says which.
    """
    from ..adjust.recover import recover as settle
    from ..adjust.state import default_state, make
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..errors import RctlError
    from .output import as_json, done

    with Tree.open() as tree:
        try:
            told = settle(tree, this_host().boot_id, make(default_state()), seconds(deadline))
        except RctlError as error:
            if error.settled or json:
                done(*([as_json(error.settled)] if json else error.settled))
            raise
    done(*([as_json(told)] if json else told or ["nothing to recover"]))
