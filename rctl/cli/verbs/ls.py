"""``rctl ls``: the list of VEs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ...console.declare import Argument, Option
from ...console.flags import Json

if TYPE_CHECKING:
    from ...sample.overview import Row

HEAD = (
    *("NAME", "STATE", "PROCS", "CPU", "CPUS", "MEMORY", "LIMIT"),
    *("USED", "SWAP", "PIDS", "LIMIT", "PRESSURE", "OWNER"),
)
_PIDS = HEAD.index("PIDS")
_NUMBERS = frozenset(range(2, len(HEAD) - 1))
_LEAST = ("USED", "STATE", "PROCS", "CPUS", "OWNER")
SPARE = (HEAD.index("SWAP"), _PIDS + 1, _PIDS, *map(HEAD.index, _LEAST))
"""Columns that a narrow terminal leaves out, in this order; ``--json`` has all of them."""


def ls(
    patterns: Annotated[
        list[str] | None,
        Argument(metavar="[VE...]", help="VEs, units, containers, cgroup paths with a leading /, or patterns"),
    ] = None,
    everything: Annotated[
        bool,
        Option("--all", "-a", help="Also list other cgroups that have processes; patterns then match whole paths"),
    ] = False,
    json: Json = False,
) -> None:
    """List VEs with their use, limits and memory pressure.

    CPU is the CPU time that the VE's processes have used so far. CPUS is the number of CPUs that it may use. Pressure
    is the share of the last 10 s in which some task waited for memory. The owner is shown if it is not rctl for all.
    """
    from ...console.output import as_json, columns, say, warn
    from ...console.session import session

    with session() as s:
        found = s.list(*patterns or (), everything=everything)
    if json:
        say(as_json(found))
    elif found:
        rows = [cells(row) for row in found]
        shown = len(HEAD) - all(row.owner == "rctl" for row in found)
        spare = [column for column in SPARE if column < shown]
        columns(HEAD[:shown], [row[:shown] for row in rows], right=_NUMBERS, spare=spare, names=(0,))
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
        row.owner,
    )


def _number(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
