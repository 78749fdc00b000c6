"""Figures as text."""

from __future__ import annotations

from ...units import human_size
from .result import Figure, FigureUnit

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def shown(value: float | None, unit: FigureUnit) -> str:
    """A value with its unit, in about three digits; ``-`` without a value."""
    if value is None:
        return "-"
    if unit == "seconds":
        return _time(value)
    if unit == "bytes":
        return human_size(round(value))
    if unit == "percent":
        return f"{value:.2f} %"
    if unit == "ratio":
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def interval(figure: Figure) -> str:
    """Low to high; ``""`` for a figure without an interval."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{shown(figure.low, figure.unit)} to {shown(figure.high, figure.unit)}"


def budget(figure: Figure) -> str:
    """The budget: ``<= 2.00 %``; ``""`` for a figure that is not judged."""
    if figure.budget is None:
        return ""
    return f"{'<=' if figure.better == 'low' else '>='} {shown(figure.budget, figure.unit)}"


def left(seconds: float) -> str:
    """The time left, roughly: ``40 s``, ``3 min``, ``1 h 5 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _time(seconds: float) -> str:
    size, name = next(((s, n) for s, n in _TIMES if abs(seconds) >= s), _TIMES[-1])
    return f"{seconds / size:.3g} {name}" if seconds else "0 s"
