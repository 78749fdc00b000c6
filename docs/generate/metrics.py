"""Every metric with its type and its source, a file of the kernel, from the exporter's table of families."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rctl_exporter.columns import BY_NAME
from rctl_exporter.limit_families import SHOWN
from rctl_exporter.table import MetricRow, entries


class Metric(NamedTuple):
    """A family, and the file that it is read from; empty if the value is computed."""

    entry: MetricRow
    file: str

    @property
    def source(self) -> str:
        """The file, and the line and key in it."""
        return self.entry.source or (f"`{self.file}`" if self.file else "")


def metrics() -> Iterator[Metric]:
    """All families about VEs."""
    limits = {BY_NAME[name].sample: file for file, names in SHOWN.items() for name in names}
    for entry in entries():
        yield Metric(entry, entry.source.split("`")[1] if entry.source else limits.get(entry.name, ""))


def table() -> Iterator[str]:
    """The table of all metrics."""
    yield "| metric | type | labels | profile | collector | source | meaning |"
    yield "|---|---|---|---|---|---|---|"
    for metric in metrics():
        one = metric.entry
        labels = ", ".join(f"`{name}`" for name in one.labels)
        cells = f"`{one.name}`", one.kind, labels, one.profile, one.collector, metric.source, one.help
        yield f"| {' | '.join(cells)} |"
