"""``rctl apply`` and ``rctl diff``: a TOML spec of many VEs, of which only the differences are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ..errors import UsageError
from .flags import DeadlineText, DryRun, Force, Json, command_line, seconds

File = Annotated[str, typer.Argument(metavar="FILE", help="The spec, a TOML file; - is standard input")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Also remove VEs that the spec does not name; refused when one has processes")
]


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Name the file, too, in what is said of one VE's limits."""
    try:
        yield
    except UsageError as error:
        if error.ve:
            raise UsageError(f"{file}: {error}") from None
        raise


def apply(
    file: File,
    prune: Prune = False,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Make VEs as a spec says, all or nothing.

    VEs that are missing are made. Only differences are written.
    """
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..spec import load
    from ..ve import many
    from .output import as_json, done, progress, report, say

    host = this_host()
    options = Options(seconds(deadline), force=force, dry_run=dry_run, command=command_line())
    with Tree.open() as tree:
        spec = load(file, host)
        with _naming(file):
            result = many.apply(tree, spec, host, options, prune=prune, progress=progress)
    tell = say if dry_run else done
    if json:
        tell(as_json(result))
        return
    report(result.account, json=False)
    for name in result.labelled:
        tell(f"{name}: labelled")
    if any(outcome.status == "left alone" for outcome in result.account.outcomes):
        raise typer.Exit(1)


def diff(
    file: File,
    prune: Prune = False,
    json: Json = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when anything differs")] = False,
) -> None:
    """Show what rctl apply would change.

    + is a VE to make, ~ a change, - a VE to remove.
    """
    from ..adjust.engine import Options
    from ..adjust.plan import Make, Remove
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..spec import load
    from ..ve import many
    from .output import as_json, say

    host = this_host()
    with Tree.open() as tree:
        spec = load(file, host)
        with _naming(file):
            result = many.apply(tree, spec, host, Options(dry_run=True), prune=prune)
    lines = [f"+ {name}" for name in result.made]
    steps = [step for outcome in result.account.outcomes for step in outcome.steps]
    lines += [f"~ {step.describe()}" for step in steps if not isinstance(step, Make | Remove)]
    lines += [f"~ {name}: labels" for name in result.labelled]
    lines += [f"- {name}" for name in result.removed]
    if json:
        say(as_json(result))
    elif lines:
        say(*lines)
    if lines and exit_code:
        raise typer.Exit(1)
