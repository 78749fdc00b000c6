"""The result of a benchmark, in one shape for all: JSON, tables, comparison and the report are made from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from ... import input_files
from ...errors import UsageError

Verdict = Literal["pass", "fail", "cannot tell", "not measured", ""]
"""``""``: a figure without a budget; it is shown and not judged."""

MUST_AGREE = ("kernel", "CPU", "CPUs", "memory", "governor", "SMT", "turbo", "mitigations", "virtualization", "Python")
"""The facts of a machine that must agree before two figures can be compared."""

_LARGEST = 256 << 20
_LATEST = 253402300800.0
"""The year 10000, in seconds since 1970."""
REPEATS = 0.002
"""Assumed relative spread (0.2 %) of figures of the instruction clock that have no interval."""

VERSION = 1
"""Version of the form of results. A result without a version is of version 1."""

FigureUnit = Literal["ratio", "percent", "seconds", "bytes", "count"]


class Figure(msgspec.Struct, frozen=True):
    """One measured number and its origin.

    ``value``: in ``unit`` (``ratio``, ``percent``, ``seconds``, ``bytes``, ``count``); ``None``: not measured, and
    ``origin`` says why. ``low`` and ``high``: the interval of the value; ``None``: it has none. ``budget``: the highest
    value that passes, or the lowest if ``better`` is ``high``; ``None``: not judged. ``group``: the figures that it is
    shown with. ``origin``: what ran, where, how often. ``note``: a remark for the reader, such as the causes of a
    figure over its budget. ``better``: the direction that is better.
    """

    name: str
    value: float | None
    unit: FigureUnit
    origin: str
    low: float | None = None
    high: float | None = None
    budget: float | None = None
    verdict: Verdict = ""
    group: str = ""
    note: str = ""
    better: Literal["low", "high"] = "low"


class Series(msgspec.Struct, frozen=True):
    """Points of a plot: ``y`` in ``unit`` over ``x``, which are numbers or names."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    unit: FigureUnit
    x_label: str = ""
    group: str = ""


class Result(msgspec.Struct, frozen=True):
    """One run of one benchmark.

    ``clock``: ``instructions`` or ``wall``; ``""`` for a result made from both. ``machine``: facts by name. ``time``:
    since 1970, in seconds. ``interrupted``: the run ended early and holds the figures up to then. ``version``: of this
    form.
    """

    bench: str
    command: str
    time: float
    seconds: float
    clock: str
    machine: dict[str, str]
    figures: tuple[Figure, ...]
    series: tuple[Series, ...] = ()
    interrupted: bool = False
    version: int = VERSION


class _AnyVersion(msgspec.Struct, frozen=True):
    version: int = 1


def facts_of(results: Sequence[Result]) -> dict[str, tuple[str, ...]]:
    """Every fact of the results' machines, with all its different values."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for name, text in result.machine.items():
            found.setdefault(name, {})[text] = None
    return {name: tuple(texts) for name, texts in found.items()}


def common(results: Sequence[Result]) -> dict[str, str]:
    """The facts that are the same in all results."""
    first, *rest = [result.machine.items() for result in results] or [{}.items()]
    return {name: text for name, text in first if all((name, text) in other for other in rest)}


def on_map(result: Result) -> set[str]:
    """The groups whose figures are the cells of a heat map; a list of so many figures is of little use."""
    groups = {figure.group for figure in result.figures}
    return {str(name) for series in result.series for name in series.x} & groups


def load(path: str | os.PathLike[str]) -> tuple[Result, ...]:
    """The results in a JSON file: one, as a benchmark prints it, or several, as ``rctl bench all`` writes them.

    Raises UsageError if the file cannot be read or holds no results.
    """
    data = input_files.read(os.fspath(path), _LARGEST)
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        heads = msgspec.json.decode(data, type=_AnyVersion | tuple[_AnyVersion, ...])
        newest = max((head.version for head in (heads if isinstance(heads, tuple) else (heads,))), default=1)
        if newest > VERSION:
            raise UsageError(f"{path}: is of a newer rctl (version {newest}, this rctl knows {VERSION}). Use that rctl")
    try:
        found = msgspec.json.decode(data, type=Result | tuple[Result, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: holds no results: {error}. Make one with rctl bench all --json FILE") from None
    if found == ():
        raise UsageError(f"{path}: holds no results. Make one with rctl bench all --json FILE")
    results = (found,) if isinstance(found, Result) else found
    if not all(0 <= result.time < _LATEST for result in results):
        raise UsageError(f"{path}: holds no results: a time is out of range. Make one with rctl bench all --json FILE")
    return results


def verdict_of(results: Sequence[Result]) -> Verdict:
    """The worst verdict of all figures: ``fail``, then ``cannot tell``, then ``pass``; ``""``: nothing was judged."""
    seen = {figure.verdict for result in results for figure in result.figures}
    worst: tuple[Verdict, ...] = ("fail", "cannot tell", "pass")
    return next((verdict for verdict in worst if verdict in seen), "")
