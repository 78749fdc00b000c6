"""``rctl bench``: measure what rctl costs, as ratios within one run. Each verb's own file says how."""

from __future__ import annotations

import typer

from . import bench_all, bench_exporter, bench_overhead, bench_parts

app = typer.Typer(help="Measure what rctl costs, as ratios within one run.", rich_markup_mode=None)


@app.callback()
def _root() -> None:
    pass


app.command("overhead")(bench_overhead.overhead)
app.command("explain")(bench_overhead.explain)
app.command("adjust")(bench_parts.adjust)
app.command("exporter")(bench_exporter.exporter)
app.command("life")(bench_parts.life)
app.command("density")(bench_parts.density)
app.command("virtual")(bench_parts.virtual)
app.command("all")(bench_all.everything)
app.command("report")(bench_all.report)
app.command("compare")(bench_all.compare)
