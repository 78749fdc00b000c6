"""Prints results for people: a table for each group, notes, and the verdict in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...console.declare import Exit
from ...console.output import as_json, columns, say, tell, warn

if TYPE_CHECKING:
    from ..figures.compare import Comparison
    from ..figures.result import Figure, Result

_HEAD = ("MEASURED", "INTERVAL", "BUDGET", "VERDICT")


def show(results: Sequence[Result], *, json: bool, one: bool = True) -> None:
    """Print the results. ``one``: the JSON is one object and not a list."""
    tell("")
    if json:
        say(as_json(results[0] if one else results))
        return
    for number, result in enumerate(results):
        if number:
            say()
        _groups(result)
        if result.interrupted:
            warn(f"{result.bench}: interrupted; these are the results so far")
    say("", f"verdict: {_words(results)}")


def _groups(result: Result) -> None:
    from ..figures.result import on_map

    mapped = on_map(result)
    groups = [group for group in dict.fromkeys(f.group for f in result.figures) if group not in mapped]
    if mapped:
        say(
            f"{result.bench.upper()}: {len(mapped)} workloads on a map, which --report and --json keep; from it follows"
        )
    for number, group in enumerate(groups):
        if number:
            say()
        found = [figure for figure in result.figures if figure.group == group]
        columns(((group or result.bench).upper(), *_HEAD), [_row(f) for f in found], right=frozenset({1, 2, 3}))
        for figure in found:
            if text := figure.note or (figure.origin if figure.value is None else ""):
                say(f"  {figure.name}: {text}")


def _row(figure: Figure) -> tuple[str, ...]:
    from ..figures.text import budget, interval, shown

    return (figure.name, shown(figure.value, figure.unit), interval(figure), budget(figure), figure.verdict)


def _words(results: Sequence[Result]) -> str:
    from ..figures.result import verdict_of

    missing = sum(figure.verdict == "not measured" for result in results for figure in result.figures)
    found = verdict_of(results) or "none: nothing here has a budget"
    return f"{found}; not measured: {missing}" if missing else found


def checked(results: Sequence[Result], check: bool) -> None:
    """Exit with 1 if ``check`` is set and a figure is over its budget, cannot be judged, or none was judged."""
    from ..figures.result import verdict_of

    if check and verdict_of(results) != "pass":
        raise Exit(1)


def show_comparison(found: Comparison, *, json: bool) -> None:
    """Print both runs beside each other, after a warning about figures that cannot be compared."""
    from ..figures.text import shown

    if json:
        say(as_json(found))
        return
    for text in found.warnings:
        warn(text)
    rows = [
        (
            line.bench,
            f"{line.group}: {line.name}" if line.group else line.name,
            shown(line.first, line.unit),
            shown(line.second, line.unit),
            "-" if line.ratio is None else f"{100 * (line.ratio - 1):+.2f} %",
            ""
            if line.low is None or line.high is None
            else f"{100 * (line.low - 1):+.2f} to {100 * (line.high - 1):+.2f}",
            line.change,
        )
        for line in found.lines
    ]
    head = ("BENCH", "FIGURE", "FIRST", "SECOND", "CHANGE", "INTERVAL %", "VERDICT")
    columns(head, rows, right=frozenset({2, 3, 4, 5}))
    counts = {what: sum(line.change == what for line in found.lines) for what in ("better", "worse", "same")}
    rest = len(rows) - sum(counts.values())
    say("", ", ".join(f"{count} {what}" for what, count in counts.items()) + f", {rest} unclear")
