"""The whole dashboard: its variables, and its rows in order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from grafana_foundation_sdk.builders.dashboard import CustomVariable, Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from . import itself, overview, ve
from .parts import SOURCE

Panel = Stat | Table | Graph


def text() -> str:
    """The dashboard as JSON, always the same text."""
    return JSONEncoder(sort_keys=True, indent=1).encode(build().build()) + "\n"


def build() -> Dashboard:
    """Build the dashboard: all VEs, then the chosen one, then the exporter."""
    board = (
        Dashboard("rctl: VEs")
        .uid("rctl-ves")
        .description("Use, limits and waits of VEs and other cgroups, from rctl's exporter.")
        .tags(["rctl", "cgroup"])
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    for variable in _variables():
        board = board.with_variable(variable)
    rows: list[tuple[str, bool, Sequence[Panel]]] = [
        ("All VEs", False, [*overview.stats(), *overview.graphs(), *overview.tables()]),
        ("$ve", False, ve.state()),
        ("$ve: CPU", False, ve.cpu()),
        ("$ve: pressure", False, ve.pressure()),
        ("$ve: memory", False, ve.memory()),
        ("$ve: I/O", False, ve.io()),
        ("$ve: processes and others", False, ve.pids()),
        ("Exporter", True, itself.graphs()),
    ]
    numbers = count(1)
    for title, closed, panels in rows:
        row = Row(title).collapsed(closed).id(next(numbers))
        board = _with(board, row, closed, [panel.id(next(numbers)) for panel in panels])
    return board


def _with(board: Dashboard, row: Row, closed: bool, panels: Sequence[Panel]) -> Dashboard:
    if closed:  # Grafana keeps the panels of a closed row inside it.
        for panel in panels:
            row = row.with_panel(panel)
        return board.with_row(row)
    board = board.with_row(row)
    for panel in panels:
        board = board.with_panel(panel)
    return board


def _variables() -> list[DatasourceVariable | QueryVariable | CustomVariable]:
    top = [VariableOption(selected=number == "10", text=number, value=number) for number in ("5", "10", "25", "100")]
    return [
        DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        _asked("instance", "Host", "label_values(rctl_scrape_ves, instance)")
        .multi(True)
        .include_all(True)
        .all_value(".*"),
        _asked("owner", "Owner", 'label_values(rctl_ve_info{instance=~"$instance"}, owner)')
        .multi(True)
        .include_all(True)
        .all_value(".*"),
        _asked("ve", "VE", 'label_values(rctl_ve_info{instance=~"$instance", owner=~"$owner"}, ve)'),
        CustomVariable("top").label("Top").values("5,10,25,100").options(top).current(top[1]),
    ]


def _asked(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .definition(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
