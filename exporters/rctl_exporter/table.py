"""The table of all families about VEs, as Markdown or as data, made from the families."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from . import memory_stat, owner
from .columns import FAMILIES
from .families import Family


class MetricRow(msgspec.Struct, frozen=True):
    """One family: its name on sample lines, its labels, and the source of its value."""

    name: str
    kind: str
    labels: tuple[str, ...]
    profile: str
    collector: str
    source: str
    help: str


def entries() -> Iterator[MetricRow]:
    """Every family; of those of memory.stat, the ones whose unit is known."""
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
    lines = ["| metric | labels beside `ve` | profile | source | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{one.name}` | {', '.join(label for label in one.labels if label != 've')} | {one.profile} | {one.source} "
        f"| {one.help} |"
        for one in entries()
    ]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    return f"""# Metrics

Every family that `rctl exporter` shows of a VE. `rctl exporter metrics` prints the same table. This page is made by
`python -m rctl_exporter.table`.

All families have the label `ve`, the name by which rctl shows and takes a VE: `web1` for one of its own,
`nginx.service`, `unit:bob/worker.service`, `user:bob`, `docker:web`, `podman:web`, `pod:prod/front/nginx`, or the path
of the cgroup. The name is found once in the life of a cgroup. No two cgroups have the same: the later one has its path.
`rctl_ve_info` also has the `owner` (`rctl`, `systemd`, `docker`, `podman`, `kubernetes`, `containerd`, `crio`, `lxc`,
`machined` or `nobody`), and the `unit`, `container`, `image`, `pod` and `namespace` of a VE that has one. `backend` is
the owner, or `other` instead of `nobody`.

A figure is absent if the kernel lacks it, or if the VE has no controller for it. A limit of `max` is `+Inf`. Families
marked `opt in` are shown with `--collect full,numa`. For ratios, use the recording rules in `exporters/prometheus`.

{markdown()}
Event counters of `memory.stat` (`pgfault`, `workingset_*`, `thp_*`, ...) are `rctl_ve_memory_stat_<key>_total`, in the
profile `full`. The kernel decides which keys exist.

The exporter shows these metrics about itself: `rctl_build_info`, `rctl_scrape_duration_seconds`, `rctl_scrape_ves`,
`rctl_scrape_bytes`, `rctl_scrape_read_errors`, `rctl_scrape_unread_ves` (VEs with a file that could not be read),
`rctl_scrape_kept_fds`, `rctl_scrape_collector_duration_seconds` and `rctl_scrape_collector_success` by `collector`,
`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds` and
`process_start_time_seconds`. It shows these about rctl's work: `rctl_limit_writes_total` and
`rctl_limit_write_errors_total` by `setting`.

A scrape may ask for a part of the page, as with node_exporter: `?collect[]=cpu&collect[]=io` for the families of these
collectors, `?exclude[]=memory_stat` for all others, `?name[]=rctl_ve_cpu_usage_seconds_total` for single families. All
files are still read; `--collect` and `--exclude` choose which files are read. The answer is 400 if a name is not known,
or its collector is switched off.
"""


def _labels(family: Family) -> tuple[str, ...]:
    if family.kind == "info":
        return ("ve", *owner.LABELS)
    return ("ve", *family.labels)


def _source(family: Family) -> str:
    if not family.source:
        return ""
    file, line, key = family.source
    return " ".join(part for part in (f"`{file}`", line, key) if part)


if __name__ == "__main__":
    sys.stdout.write(page())
