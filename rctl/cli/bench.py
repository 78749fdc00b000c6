"""``rctl bench``: measure what rctl costs, as ratios within one run."""

from __future__ import annotations

from typing import Annotated

import typer

from .flags import Json

app = typer.Typer(help="Measure what rctl costs, as ratios within one run.", rich_markup_mode=None)


@app.callback()
def _root() -> None:
    pass


@app.command("adjust")
def adjust(
    rounds: Annotated[int, typer.Option(min=3, max=10000, help="Pairs of bare loop and engine")] = 15,
    ves: Annotated[int, typer.Option(min=1, max=5000, help="VEs for the second case")] = 1000,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a ratio is above what rctl promises")
    ] = False,
    json: Json = False,
) -> None:
    """The live-adjust engine beside the bare writes and reads of the same files."""
    import tempfile

    from ..adjust.state import State
    from ..bench.adjust import measure
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from .output import as_json, columns, say, tell

    with tempfile.TemporaryDirectory(prefix="rctl-bench-", dir="/run") as place, Tree.open() as tree:
        result = measure(tree, this_host(), State(f"{place}/run", place), rounds=rounds, ves=ves, tell=tell)
    if json:
        say(as_json(result))
    else:
        rows = [
            (
                c.name,
                f"{c.bare_us:.0f}",
                f"{c.engine_us:.0f}",
                f"{c.ratio:.2f}",
                f"{c.low:.2f}-{c.high:.2f}",
                f"{c.at_most:.1f}",
            )
            for c in result.cases
        ]
        columns(("CASE", "BARE us", "ENGINE us", "RATIO", "RANGE", "AT MOST"), rows, right=frozenset(range(1, 6)))
        peers = [(p.name, f"{p.us:.0f}", f"{p.ratio:.2f}") for p in result.peers]
        say()
        columns(("ONE LIMIT, AS A PROCESS", "us", "TIMES rctl set"), peers, right=frozenset({1, 2}))
    if check and any(c.ratio > c.at_most for c in result.cases):
        raise typer.Exit(1)
