"""The table of all families about VEs, for people: Markdown or data, made from the families themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from . import memory_stat
from .columns import FAMILIES
from .families import Family


class MetricRow(msgspec.Struct, frozen=True):
    """One family: its name on sample lines, its labels, and where its value comes from."""

    name: str
    kind: str
    labels: tuple[str, ...]
    profile: str
    collector: str
    source: str
    help: str


def entries() -> Iterator[MetricRow]:
    """Every family, those of memory.stat by the keys whose unit is known."""
    for family in (*FAMILIES, *(found for key in memory_stat.BYTES if (found := memory_stat.family(key)))):
        yield MetricRow(
            family.sample,
            family.kind,
            _labels(family),
            "core" if family.core else "opt in" if family.collector == "numa" else "full",
            family.collector,
            _source(family),
            family.help,
        )


def markdown() -> str:
    """A table for a page."""
    lines = ["| metric | labels beside `ve` | profile | from | what |", "|---|---|---|---|---|"]
    lines += [
        f"| `{one.name}` | {', '.join(label for label in one.labels if label != 've')} | {one.profile} | {one.source} "
        f"| {one.help} |"
        for one in entries()
    ]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    return f"""# Metrics

Every family that `rctl exporter` gives for a VE, made by `python -m rctl_exporter.table`; `rctl exporter metrics` has
them too. All have the label `ve`: the name of a managed VE, the cgroup path of a foreign one. What a kernel, or a VE's
controllers, lack is absent. A limit of `max` is `+Inf`. What is opt in comes by
`--collect full,numa`. Ratios are left to recording rules (`exporters/prometheus`).

{markdown()}
Event counters of `memory.stat` (`pgfault`, `workingset_*`, `thp_*`, ...) are `rctl_ve_memory_stat_<key>_total`, in
profile `full`, by the keys that the kernel has.

About itself the exporter gives `rctl_build_info`, `rctl_scrape_duration_seconds`, `rctl_scrape_ves`,
`rctl_scrape_bytes`, `rctl_scrape_read_errors`, `rctl_scrape_unread_ves` (VEs of which something could not be read),
`rctl_scrape_kept_fds`, `rctl_scrape_collector_duration_seconds` and `rctl_scrape_collector_success` by `collector`,
`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds` and
`process_start_time_seconds`; about rctl at work, `rctl_limit_writes_total` and `rctl_limit_write_errors_total` by
`setting`.

A scrape may ask for a part of the page, as of node_exporter: `?collect[]=cpu&collect[]=io` for families of these
collectors, `?exclude[]=memory_stat` for all others, `?name[]=rctl_ve_cpu_usage_seconds_total` for single families. All
files are read all the same; `--collect` and `--exclude` choose what is read. What is not known, or switched off, is
answered with 400.
"""


def _labels(family: Family) -> tuple[str, ...]:
    if family.kind == "info":
        return ("ve", "backend", "cgroup")
    return ("ve", family.label) if family.label else ("ve",)


def _source(family: Family) -> str:
    if not family.source:
        return ""
    file, line, key = family.source
    return " ".join(part for part in (f"`{file}`", line, key) if part)


if __name__ == "__main__":
    sys.stdout.write(page())
