"""Figures from the costs of scrapes, with their budgets, and series for plots. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from ..figures.result import Figure, FigureUnit, Series
from ..figures.stats import judge, ratio_interval, verdict
from .cost import Cost
from .peer_exporters import ServedExporter

PROMISED = 1000
TIMES_BARE, TIMES_SERVED, TIMES_CHEAPER, FLAT = 1.7, 2.2, 10.0, 1.25
RENDER_NS = 100.0
BUSY = 0.1
COUNTED = "on the instruction clock, at 2 ns each; a real processor does several in one ns, so this is not judged"


class Round(NamedTuple):
    """The costs of scrapes that followed one another."""

    bare: Cost
    rctl: Cost
    served: Cost


class Measured(NamedTuple):
    """Measurements with so many VEs. ``rest``: no VE at work; ``busy``: a share; ``all_busy``: only with few VEs."""

    ves: int
    files: int
    how: str
    rest: list[Round]
    busy: list[Round]
    all_busy: list[Round]
    plain: list[tuple[Cost, Cost]]


def figures(
    measured: Sequence[Measured], others: Sequence[ServedExporter], profile: str, *, counted: bool = False
) -> list[Figure]:
    """All figures. The budgets are for the full profile and PROMISED VEs, so only these figures are judged."""
    made = [figure for count in measured for figure in _figures(count, profile, counted)]
    by_count = {count.ves: _per_ve(count) for count in measured}
    few, many = (min((n for n in by_count if n >= 100), default=0), max(by_count, default=0))
    if few and many > few:
        ratio = by_count[many] / by_count[few]
        made.append(
            Figure(
                f"CPU per VE, {many} VEs over {few}", ratio, "ratio", "medians of the scrapes with VEs at work",
                budget=FLAT, verdict=judge(ratio, FLAT), group="exporter",
            )
        )  # fmt: skip
    return [*made, *(figure for one in others for figure in one.figures())]


def _figures(count: Measured, profile: str, counted: bool) -> list[Figure]:
    at = f"{count.ves} VE" + "s" * (count.ves > 1)
    judged = profile == "full" and count.ves == PROMISED
    origin = f"{count.files} files, profile {profile}, {len(count.rest)} scrapes each by turns; bare: {count.how}"
    made = []
    for share, rounds in ((0.0, count.rest), (BUSY, count.busy), (1.0, count.all_busy)):
        if not rounds:
            continue
        promised = judged and share == BUSY
        of = f"over bare reads, {at}, {share:.0%} at work"
        pairs = [(one.bare.cpu, one.rctl.cpu) for one in rounds]
        served = [(one.bare.cpu, one.served.cpu) for one in rounds]
        made += [
            _over(f"scrape {of}", pairs, f"CPU time, {origin}", TIMES_BARE if promised else None),
            _over(f"served scrape {of}", served, f"CPU time with HTTP and gzip, {origin}",
                  TIMES_SERVED if promised else None),
        ]  # fmt: skip
    cheaper = statistics.median(plain.cpu / rctl.cpu for rctl, plain in count.plain)
    rctl = [one.rctl for one in count.busy]
    anew = f"CPU time, {rctl[0].samples} samples, all rendered anew, the least of {len(rctl)}"
    render = min(one.render / max(1, one.samples) for one in rctl) * 1e-9  # the least disturbed round
    memory = max(one.served.resident for one in count.busy)
    first = rctl[0]
    made += [
        _judged(f"a plain collector over rctl, {at}", cheaper, "ratio", f"CPU time, {origin}", TIMES_CHEAPER, judged,
                least=True),
        _judged(f"rendering a sample, {at}", render, "seconds", anew,
                RENDER_NS * 1e-9, judged and not counted, COUNTED if counted else ""),
        Figure(f"memory, {at}", memory, "bytes", "the server's cgroup, kernel memory included", group="exporter"),
        Figure(f"served CPU per scrape, {at}", statistics.median(one.served.cpu for one in count.busy) * 1e-9,
               "seconds", f"with HTTP and gzip, {origin}", group="exporter"),
        Figure(f"CPU per scrape, {at}", statistics.median(one.cpu for one in rctl) * 1e-9, "seconds", origin,
               group="exporter"),
        Figure(f"elapsed per scrape, {at}", statistics.median(one.wall for one in rctl) * 1e-9, "seconds", origin,
               group="exporter"),
        Figure(f"page, {at}", first.size, "bytes", f"{first.samples} samples, uncompressed", group="exporter"),
    ]  # fmt: skip
    return made


def _over(name: str, pairs: Sequence[tuple[int, int]], origin: str, budget: float | None) -> Figure:
    interval = ratio_interval(pairs)
    judgement = verdict(interval, budget) if budget else ""
    return Figure(
        name, interval.ratio, "ratio", origin, interval.low, interval.high, budget, judgement, "exporter"
    )  # fmt: skip


def _judged(
    name: str,
    value: float,
    unit: FigureUnit,
    origin: str,
    budget: float,
    judged: bool,
    note: str = "",
    *,
    least: bool = False,
) -> Figure:
    passed = value >= budget if least else value <= budget
    return Figure(
        name, value, unit, origin, budget=budget if judged else None, group="exporter",
        verdict=("pass" if passed else "fail") if judged else "", better="high" if least else "low",
        note=note,
    )  # fmt: skip


def too_many(ves: int, limit: int) -> Figure:
    """The figure of a number of VEs that was left out."""
    why = f"more files than may be open ({limit}). Raise it: ulimit -Hn"
    return Figure(f"CPU per scrape, {ves} VEs", None, "seconds", why, verdict="not measured", group="exporter")


def _per_ve(count: Measured) -> float:
    return statistics.median(one.rctl.cpu for one in count.busy) / count.ves


def series(measured: Sequence[Measured]) -> list[Series]:
    """CPU time per scrape by number of VEs."""
    x = tuple(float(count.ves) for count in measured)
    lines = {
        "bare reads": [statistics.median(one.bare.cpu for one in count.busy) for count in measured],
        "rctl": [statistics.median(one.rctl.cpu for one in count.busy) for count in measured],
        "a plain collector": [statistics.median(plain.cpu for _, plain in count.plain) for count in measured],
    }
    return [Series(name, x, tuple(v * 1e-9 for v in y), "seconds", "VEs", "exporter") for name, y in lines.items()]
