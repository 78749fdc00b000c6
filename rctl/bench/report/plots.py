"""The plots: bars with intervals and budgets, lines over numbers, heat maps of many series over the same names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..figures.result import Figure, FigureUnit, Result, Series, Verdict
from ..figures.text import shown

COLOURS: dict[Verdict, str] = {
    "pass": "#1a7f5a", "fail": "#c0392b", "cannot tell": "#c98a12", "not measured": "#8a94a6", "": "#3867b7",
}  # fmt: skip
_AXES: dict[FigureUnit, tuple[float, str]] = {
    "percent": (1, "per cent more than bare"), "ratio": (1, "times"), "seconds": (1e3, "milliseconds"),
    "bytes": (1 / 1024, "KiB"), "count": (1, "number"),
}  # fmt: skip
_WIDE = 30.0
"""If values differ by more than this factor, the axis is logarithmic."""
_SPREAD: tuple[FigureUnit, ...] = ("seconds", "bytes", "count")
_FEW = 3
"""From so many series over the same names on, they are drawn as a heat map."""


class Plot(NamedTuple):
    """One plot: its place in the report, and Plotly's description of it."""

    place: str
    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def place(result: Result) -> str:
    """The section of the report for a result."""
    return f"{result.bench}-{result.clock}"


def all_of(results: Sequence[Result]) -> list[Plot]:
    """The plots of all results, in their order."""
    return [plot for result in results if result.bench != "claims" for plot in _of(result)]


def _of(result: Result) -> Iterator[Plot]:
    heat: list[Series] = []
    lines: list[Series] = []
    for series in result.series:
        (heat if any(isinstance(x, str) for x in series.x) else lines).append(series)
    drawn = len(heat) >= _FEW
    if drawn:
        yield _heat(place(result), heat)
    for group, members in _grouped(result.figures).items():
        if len(members) > 1 and not (drawn and members[0].unit == heat[0].unit):
            yield _bars(place(result), group, members)
    units = dict.fromkeys((series.unit, series.x_label) for series in lines if len(series.x) > 1)
    for unit, label in units:
        yield _lines(place(result), label, [s for s in lines if (s.unit, s.x_label) == (unit, label)])


def _grouped(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """Measured figures that fit on one axis, by the title above them."""
    found: dict[tuple[str, FigureUnit], list[Figure]] = {}
    for figure in figures:
        if figure.value is not None:
            unit = figure.unit
            found.setdefault(("" if unit == "percent" else figure.group, unit), []).append(figure)
    return {group or "overhead": members for (group, _), members in found.items()}


def _bars(where: str, group: str, figures: Sequence[Figure]) -> Plot:
    unit = figures[0].unit
    scale, words = _AXES[unit]
    values = [(figure.value or 0.0) * scale for figure in figures]
    log = unit in _SPREAD and _spread(values) > _WIDE and all(value > 0 for value in values)
    bar = {
        "type": "bar", "orientation": "h", "y": [figure.name for figure in figures], "x": values,
        "marker": {"color": [COLOURS[figure.verdict] for figure in figures]}, "width": 0.62,
        "text": [shown(figure.value, unit) for figure in figures], "textposition": "none",
        "error_x": {
            "type": "data", "symmetric": False, "color": "#222", "thickness": 1.2, "width": 4,
            "array": [_reach(figure.value, figure.high) * scale for figure in figures],
            "arrayminus": [_reach(figure.value, figure.low) * scale for figure in figures],
        },
        "hovertemplate": [f"{figure.name}: {shown(figure.value, unit)}<extra></extra>" for figure in figures],
    }  # fmt: skip
    layout = _layout(words, 90 + 30 * len(figures), log=log)
    layout["yaxis"] |= {"autorange": "reversed", "automargin": True}
    budgets = {figure.budget * scale for figure in figures if figure.budget is not None}
    layout["shapes"] = [_line(budget, 0, 1, "paper") for budget in budgets]
    if len(budgets) > 1:
        rows = [(number, figure.budget) for number, figure in enumerate(figures) if figure.budget is not None]
        layout["shapes"] = [_line(budget * scale, row - 0.45, row + 0.45, "y") for row, budget in rows]
    layout["annotations"] = [_told_at(budget, unit, log=log) for budget in sorted(budgets)] + [
        _value_beside(figure, value, at) for figure, value, at in _labels(figures, scale, log=log)
    ]
    return Plot(where, group, [bar], layout)


def _line(at: float, start: float, end: float, measure: str) -> dict[str, Any]:
    """A budget's line: through all bars, or only through its own."""
    return {
        "type": "line", "x0": at, "x1": at, "y0": start, "y1": end, "yref": measure,
        "line": {"color": COLOURS["fail"], "dash": "dash", "width": 1.5},
    }  # fmt: skip


def _reach(value: float | None, end: float | None) -> float:
    return 0.0 if value is None or end is None else abs(end - value)


def _labels(figures: Sequence[Figure], scale: float, *, log: bool) -> Iterator[tuple[Figure, str, float]]:
    """The value as text to the right of each bar and its interval."""
    for figure in figures:
        end = max((figure.value or 0.0), figure.high if figure.high is not None else -math.inf, 0.0) * scale
        yield figure, shown(figure.value, figure.unit), math.log10(end) if log else end


def _value_beside(figure: Figure, text: str, at: float) -> dict[str, Any]:
    return {
        "x": at, "y": figure.name, "text": text, "showarrow": False, "xanchor": "left", "xshift": 8,
        "font": {"size": 12, "color": "#222"}, "bgcolor": "rgba(255,255,255,0.8)",
    }  # fmt: skip


def _told_at(budget: float, unit: FigureUnit, *, log: bool) -> dict[str, Any]:
    scale, _ = _AXES[unit]
    return {
        "x": math.log10(budget) if log else budget, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
        "text": f"budget {shown(budget / scale, unit)}", "font": {"size": 11, "color": COLOURS["fail"]},
    }  # fmt: skip


def _lines(where: str, label: str, series: Sequence[Series]) -> Plot:
    scale, words = _AXES[series[0].unit]
    data = [
        {
            "type": "scatter", "mode": "lines+markers", "name": one.name, "x": list(one.x),
            "y": [y * scale for y in one.y],
        } for one in series
    ]  # fmt: skip
    numbers = [float(x) for one in series for x in one.x]
    layout = _layout(label, 360, log=_spread(numbers) > _WIDE)
    layout["yaxis"] |= {"title": {"text": words}, "rangemode": "tozero", "automargin": True}
    layout["showlegend"] = True
    layout["legend"] = {"orientation": "h", "y": 1.12, "x": 0}
    if _spread([y for one in series for y in one.y]) > _WIDE:
        layout["yaxis"]["type"] = "log"
    title = ", ".join(dict.fromkeys(one.group or one.name for one in series))
    return Plot(where, f"{title}, by {label}" if label else title, data, layout)


def _heat(where: str, series: Sequence[Series]) -> Plot:
    names = list(dict.fromkeys(str(x) for one in series for x in one.x))
    rows = [dict(zip(map(str, one.x), one.y, strict=True)) for one in series]
    z = [[row.get(name) for name in names] for row in rows]
    unit = series[0].unit
    most = max((abs(y) for row in z for y in row if y is not None), default=1.0) or 1.0
    data = {
        "type": "heatmap", "x": names, "y": [one.name for one in series], "z": z, "zmin": -most, "zmax": most,
        "colorscale": [[0, "#2b6cb0"], [0.5, "#ffffff"], [1, "#c0392b"]], "xgap": 2, "ygap": 2,
        "text": [["" if y is None else f"{y:.1f}" for y in row] for row in z], "texttemplate": "%{text}",
        "colorbar": {"title": {"text": "%" if unit == "percent" else unit}, "thickness": 12},
    }  # fmt: skip
    layout = _layout("", 190 + 30 * len(series), log=False)
    layout["yaxis"] |= {"autorange": "reversed", "automargin": True, "showgrid": False}
    layout["xaxis"] |= {"automargin": True, "tickangle": -35, "showgrid": False}
    return Plot(where, _AXES[unit][1] if unit == "percent" else "parts of the cost", [data], layout)


def _layout(x_title: str, height: int, *, log: bool) -> dict[str, Any]:
    return {
        "height": height, "margin": {"l": 10, "r": 70, "t": 34, "b": 46}, "showlegend": False, "bargap": 0.3,
        "paper_bgcolor": "#ffffff", "plot_bgcolor": "#ffffff",
        "font": {"family": "system-ui, 'DejaVu Sans', sans-serif", "size": 13, "color": "#1f2733"},
        "xaxis": {
            "title": {"text": x_title}, "gridcolor": "#e6e9ef", "zerolinecolor": "#9aa4b2", "automargin": True,
            **({"type": "log", "dtick": 1} if log else {}),
        },
        "yaxis": {
            "gridcolor": "#e6e9ef", "zerolinecolor": "#9aa4b2",
            "ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)",
        },
    }  # fmt: skip


def _spread(values: Sequence[float]) -> float:
    positive = [value for value in values if value > 0]
    return max(positive) / min(positive) if positive else 1.0
