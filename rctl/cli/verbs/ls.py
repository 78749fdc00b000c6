"""``rctl ls``: the list of VEs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...console.flags import Json

if TYPE_CHECKING:
    from ...sample.overview import Row

HEAD = ("NAME", "STATE", "PROCS", "CPU", "CPUS", "MEMORY", "LIMIT", "USED", "SWAP", "PIDS", "LIMIT", "PRESSURE")
_PIDS = HEAD.index("PIDS")
SPARE = (HEAD.index("SWAP"), _PIDS + 1, _PIDS, *map(HEAD.index, ("USED", "STATE", "PROCS", "CPUS")))
"""Columns that a narrow terminal leaves out, in this order; ``--json`` has all of them."""


def ls(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VE...]", help="VEs, units, containers, cgroup paths with a leading /, or patterns"),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", "-a", help="Also list other cgroups that have processes; patterns then match whole paths"
        ),
    ] = False,
    json: Json = False,
) -> None:
    """List VEs with their use, limits and memory pressure.

    CPU is the CPU time that the VE's processes have used so far. CPUS is the number of CPUs that it may use. Pressure
    is the share of the last 10 s in which some task waited for memory.
    """
    from ...console.output import as_json, columns, say, warn
    from ...console.session import session

    with session() as s:
        found = s.list(*patterns or (), everything=everything)
    if json:
        say(as_json(found))
    elif found:
        rows = [cells(row) for row in found]
        columns(HEAD, rows, right=frozenset(range(2, len(HEAD))), spare=SPARE, paths=(0,))
    else:
        warn("no VEs yet. Make one: rctl run NAME --memory 1G -- CMD")


def cells(row: Row) -> tuple[str, ...]:
    """The row for people: ``-`` for a figure that the host does not have."""
    from ...console.terminal import clock
    from ...units import human_size

    percent = "-" if row.memory_percent is None else f"{row.memory_percent:.0f}%"
    pressure = "-" if row.memory_pressure is None else f"{row.memory_pressure:.1f}%"
    return (
        row.name,
        row.state,
        str(row.processes),
        "-" if row.cpu is None else clock(row.cpu),
        _number(row.cpus),
        human_size(row.memory),
        human_size(row.memory_max),
        percent,
        human_size(row.swap),
        _number(row.pids),
        _number(row.pids_max),
        pressure,
    )


def _number(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
