"""The kinds of panel in the dashboard, each with one look, and the expressions that its queries share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    TableSortByFieldState,
    VizLegendOptions,
)
from grafana_foundation_sdk.builders.common import VizTooltipOptions as Tooltip
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HOSTS = '{instance=~"$instance"}'
"""Selects all VEs of the chosen hosts."""

ONE = '{instance=~"$instance",ve="$ve"}'
"""Selects the chosen VE."""

LIMIT = "limit"
"""The first word of the names of limits' lines; such lines are dashed."""

GREEN, YELLOW, RED = "green", "yellow", "red"


class Curve(NamedTuple):
    """One query of a graph, and the name of its line."""

    expr: str
    legend: str


class Field(NamedTuple):
    """One query of a table, the column's title, its unit, and the values at which it turns yellow and red."""

    expr: str
    title: str
    unit: str
    levels: tuple[float, float] | None = None


def rate(name: str, where: str = ONE) -> str:
    """The rate of a counter of a VE, named without prefix and ``_total``."""
    return f"rate(rctl_ve_{name}_total{where}[$__rate_interval])"


def gauge(name: str, where: str = ONE) -> str:
    """A gauge of a VE, named without prefix."""
    return f"rctl_ve_{name}{where}"


def limit(name: str, legend: str, where: str = ONE) -> Curve:
    """A limit as a dashed line; none is drawn if there is no limit."""
    return Curve(f"{gauge(name, where)} < Inf", f"{LIMIT} {legend}")


def graph(title: str, text: str, unit: str, lines: Sequence[Curve], *, stacked: bool = False, width: int = 8) -> Graph:
    """Lines over time, from 0 up. ``text`` explains them; ``unit`` is Grafana's word for it."""
    panel = (
        Graph()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(8)
        .span(width)
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(40 if stacked else 8)
        .legend(_legend())
        .tooltip(Tooltip().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .override_by_regexp(f"/^{LIMIT} /", _dashed())
    )
    if stacked:
        panel = panel.stacking(StackingConfig().mode(StackingMode.NORMAL))
    for ref, line in zip(_refs(), lines, strict=False):
        panel = panel.with_target(_query(ref, line.expr).legend_format(line.legend).range())
    return panel


def stat(title: str, text: str, expr: str, unit: str = "short", levels: tuple[float, float] | None = None) -> Stat:
    """One number now. ``levels``: the values at which it turns yellow and red."""
    return (
        Stat()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .span(3)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(levels))
        .with_target(_query("A", expr).instant())
    )


def table(title: str, text: str, labels: dict[str, str], columns: Sequence[Field], *, width: int = 12) -> Table:
    """Present values, a row for each set of ``labels`` (label to title); sorted by the first column, highest first."""
    panel = Table().title(title).description(text).datasource(SOURCE).height(9).span(width)
    names = dict(labels)
    for ref, column in zip(_refs(), columns, strict=False):
        panel = panel.with_target(_query(ref, column.expr).instant().format(PromQueryFormat.TABLE))
        names["Value" if len(columns) == 1 else f"Value #{ref}"] = column.title
        panel = panel.override_by_name(column.title, _cell(column))
    panel = panel.override_by_name("VE", [DynamicConfigValue("links", [_OPEN])])
    order = {name: place for place, name in enumerate(names)}
    return (
        panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names},
            )
        )
        .sort_by([TableSortByFieldState().display_name(columns[0].title).desc(True)])
    )


_OPEN = {
    "title": "Show this VE below",
    "url": "/d/rctl-ves?var-ve=${__value.raw:percentencode}&var-instance=${__data.fields.Host:percentencode}"
    "&${datasource:queryparam}&${__url_time_range}",
}


def _refs() -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _query(ref: str, expr: str) -> Dataquery:
    return Dataquery().ref_id(ref).datasource(SOURCE).expr(expr)


def _legend() -> VizLegendOptions:
    legend = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.TABLE)
    return legend.placement(LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])


def _dashed() -> list[DynamicConfigValue]:
    return [
        DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        DynamicConfigValue("custom.lineWidth", 2),
        DynamicConfigValue("custom.fillOpacity", 0),
        DynamicConfigValue("custom.stacking", {"mode": "none", "group": LIMIT}),
    ]


def _thresholds(levels: tuple[float, float] | None) -> ThresholdsConfig:
    steps = [Threshold(None, GREEN)]
    if levels:
        steps += [Threshold(levels[0], YELLOW), Threshold(levels[1], RED)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _cell(column: Field) -> list[DynamicConfigValue]:
    settings = [DynamicConfigValue("unit", column.unit)]
    if column.levels:
        settings += [
            DynamicConfigValue("thresholds", _thresholds(column.levels).build()),
            DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    return settings
