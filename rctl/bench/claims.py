"""The claims of the OpenVZ announcement of 2006, each with what was measured here, or with what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from . import felt, lifecycle
from .result import Figure, Result, Verdict
from .text import shown

GROUP = "claims of 2006"
_NO_TEMPLATES = (
    "rctl does not do this yet: VEs with a root file system, and the templates they share, are still to come"
)

_UNTRIED = "not tried: weights, protections, swap and huge pages, which are as live but are not felt at one moment"


def claims(results: Sequence[Result]) -> tuple[Figure, ...]:
    """One figure a claim, made from figures that were measured; of several runs of a benchmark the last counts."""
    found = {(result.bench, figure.name): figure for result in results for figure in result.figures}
    return (
        _of(
            found, "100 VEs in 1 GB (bare ones)", "density", "VEs with a sleeping process in 1 GB",
            "a sleeping process in each; what runs in them comes on top",
        ),
        _of(
            found, "under 1-2 % overhead: applications, on average", "overhead", "applications, geometric mean",
            "against the same work in the root cgroup of the same kernel", budget=2.0,
        ),
        _worst(results),
        _of(found, "start in 1-2 s (a bare VE)", "life", lifecycle.START),
        _of(found, "stop in 1-2 s (a bare VE)", "life", lifecycle.STOP),
        _of(
            found, "a VE is created in under a minute (a bare one)", "life", lifecycle.START,
            "made and started in one; one with a root file system takes its template's time besides",
            budget=60.0,
        ),
        _live(results),
        _not("one template in the cache for all VEs", _NO_TEMPLATES),
    )  # fmt: skip


def _of(
    found: dict[tuple[str, str], Figure], claim: str, bench: str, name: str, note: str = "",
    budget: float | None = None,
) -> Figure:  # fmt: skip
    """A claim that one figure speaks for. ``budget``: the claim's own, where the figure was judged by another."""
    one = found.get((bench, name))
    if one is None or one.value is None:
        return _not(claim, one.origin if one else f"rctl bench {bench} was not part of this run")
    said = one
    if budget is not None:
        said = msgspec.structs.replace(one, budget=budget, verdict=_judged(one, budget))
    origin = f"rctl bench {bench}: {one.name}; {one.origin}"
    return msgspec.structs.replace(said, name=claim, origin=origin, group=GROUP, note=note or one.note)


def _not(claim: str, why: str) -> Figure:
    return Figure(claim, None, "count", why, verdict="not measured", group=GROUP)


def _judged(figure: Figure, budget: float) -> Verdict:
    from .stats import judge

    assert figure.value is not None
    if figure.verdict == "cannot tell" and figure.budget == budget:
        return "cannot tell"
    return judge(figure.value, budget, figure.low, figure.high)


def _worst(results: Sequence[Result]) -> Figure:
    """The same claim for the single application that pays most: an average hides it."""
    claim = "under 1-2 % overhead: the application that pays most"
    figures = [f for r in results if r.bench == "overhead" for f in r.figures if f.group == "applications"]
    measured = [(figure.value, figure) for figure in figures if figure.value is not None]
    if not measured:
        return _not(claim, "no application was measured in this run")
    _, worst = max(measured, key=lambda pair: pair[0])
    origin = f"rctl bench overhead: {worst.name}; {worst.origin}"
    note = f"it is {worst.name}" + (f": {worst.note}" if worst.note else "")
    return msgspec.structs.replace(
        worst, name=claim, origin=origin, note=note, group=GROUP, budget=2.0, verdict=_judged(worst, 2.0)
    )


def _live(results: Sequence[Result]) -> Figure:
    """Every limit that a process can feel was felt by one that ran: the slowest one speaks."""
    claim = "every limit changed on the fly"
    figures = [f for r in results if r.bench == "adjust" for f in r.figures if f.group == felt.GROUP]
    mine = [(f.value, f) for f in figures if f.value is not None and f.name.endswith(felt.BY_RCTL)]
    if not mine:
        return _not(claim, "rctl bench adjust was not part of this run")
    value, slowest = max(mine, key=lambda pair: pair[0])
    names = ", ".join(figure.name.removesuffix(felt.BY_RCTL) for _, figure in mine)
    missed = [figure.name for figure in figures if figure.value is None]
    note = f"the slowest of {names}" + (f"; not felt here: {', '.join(missed)}" if missed else "") + f"; {_UNTRIED}"
    origin = f"rctl bench adjust: {slowest.name}, {shown(value, 'seconds')}; {slowest.origin}"
    return Figure(
        claim, value, "seconds", origin, slowest.low, slowest.high, verdict="cannot tell" if missed else "pass",
        group=GROUP, note=note,
    )  # fmt: skip
