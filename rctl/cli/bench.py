"""``rctl bench``: measure what rctl costs, as ratios within one run. Each verb's own file says how."""

from __future__ import annotations

import typer

from . import bench_all, bench_exporter, bench_overhead, bench_parts
from .verb import Verb

app = typer.Typer(help="Measure what rctl costs, as ratios within one run.", rich_markup_mode=None)


@app.callback()
def _root() -> None:
    pass


app.command("overhead", cls=Verb)(bench_overhead.overhead)
app.command("explain", cls=Verb)(bench_overhead.explain)
app.command("adjust", cls=Verb)(bench_parts.adjust)
app.command("exporter", cls=Verb)(bench_exporter.exporter)
app.command("life", cls=Verb)(bench_parts.life)
app.command("density", cls=Verb)(bench_parts.density)
app.command("virtual", cls=Verb)(bench_parts.virtual)
app.command("all", cls=Verb)(bench_all.everything)
app.command("report", cls=Verb)(bench_all.report)
app.command("compare", cls=Verb)(bench_all.compare)
