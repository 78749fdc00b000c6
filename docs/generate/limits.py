"""The tables of all limits, and of values that the kernel takes and does not follow, for the documents."""

from __future__ import annotations

from collections.abc import Iterator

from rctl.adjust.caveats.caveats import CAVEATS
from rctl.limit_reference import KnownLimit, limits, verbatim
from rctl.limits import key_of


def table() -> Iterator[str]:
    """The table of all limits."""
    yield "| key | effect | values | attribute | file | unit | default | since | controller |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from map(_row, (*limits(), *verbatim()))


def caveats() -> Iterator[str]:
    """The table of values that the kernel takes and does not follow."""
    yield from ("| limit | behaviour of the kernel |", "|---|---|")
    for row in CAVEATS:
        yield f"| {', '.join(f'`{key_of(name)}`' for name in row.files)} | {row.about} |"


def _row(limit: KnownLimit) -> str:
    names = ", ".join(f"`{name}`" for name in limit.files)
    since, controller = (limit.file.since, limit.file.controller or "core") if limit.file else ("5.0", "cpuset, cpu")
    return (
        f"| `{limit.key}` | {limit.about} | {limit.values} | `{limit.attribute}` | {names} | {limit.unit} "
        f"| {limit.default} | {since} | {controller} |"
    )
