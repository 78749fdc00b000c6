"""The claims of the OpenVZ announcement of 2006, each with its measured figure, or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from .figures.result import Figure, Result, Verdict
from .figures.text import shown
from .parts import felt, lifecycle

GROUP = "claims of 2006"
_APPS = "applications"
_CLOCKS = {"instructions": "the instruction clock", "wall": "a real clock", "": "clocks of both kinds"}
_NO_TEMPLATES = (
    "rctl does not do this yet: VEs with a root file system, and the templates they share, are still to come"
)

_UNTRIED = "not tried: weights, protections, swap, huge pages; they change at once, but no single moment shows it"


class Said(NamedTuple):
    """A figure, and the machine that gave it. ``emulated``: an emulated machine, which is slower than any real one."""

    figure: Figure
    clock: str
    emulated: bool

    @property
    def origin(self) -> str:
        """The origin of the figure, for the reader of the claim."""
        return f"{self.figure.name}, on {_CLOCKS[self.clock]}; {self.figure.origin}"


Found = dict[tuple[str, str], Said]


def claims(results: Sequence[Result]) -> tuple[Figure, ...]:
    """One figure for each claim, made from measured figures.

    If a figure exists on both clocks, shares come from the instruction clock, on which they repeat. Times come from a
    real clock, unless the machine was emulated: its seconds are longer than those of any real machine.
    """
    found: Found = {}
    for result in results:
        for figure in result.figures:
            key, said = (result.bench, figure.name), Said(figure, result.clock, "emulated" in result.machine)
            if key not in found or _worth(said) >= _worth(found[key]):
                found[key] = said
    return (
        _of(
            found, "100 VEs in 1 GB (bare ones)", "density", "VEs with a sleeping process in 1 GB",
            "a sleeping process in each; the memory of real programs comes on top",
        ),
        _of(
            found, "under 1-2 % overhead: applications, on average", "overhead", "applications, geometric mean",
            "against the same work in the root cgroup of the same kernel", budget=2.0,
        ),
        _worst(found),
        _of(found, "start in 1-2 s (a bare VE)", "life", lifecycle.START),
        _of(found, "stop in 1-2 s (a bare VE)", "life", lifecycle.STOP),
        _of(
            found, "a VE is created in under a minute (a bare one)", "life", lifecycle.START,
            "made and started in one step; with a root file system, the time of its template comes on top",
            budget=60.0,
        ),
        _live(found),
        _not("one template in the cache for all VEs", _NO_TEMPLATES),
    )  # fmt: skip


def _worth(said: Said) -> tuple[bool, int]:
    """The order of preference: measured figures first, then by clock."""
    if said.figure.unit != "seconds":
        return said.figure.value is not None, said.clock == "instructions"
    return said.figure.value is not None, 1 if said.clock == "instructions" else 0 if said.emulated else 2


def _of(found: Found, claim: str, bench: str, name: str, note: str = "", budget: float | None = None) -> Figure:
    """A claim that one figure supports. ``budget``: the claim's own, if it differs from the figure's."""
    said = found.get((bench, name))
    if said is None or said.figure.value is None:
        return _not(claim, said.figure.origin if said else f"rctl bench {bench} was not part of this run")
    one = said.figure
    if budget is not None:
        one = msgspec.structs.replace(one, budget=budget, verdict=_judged(one, budget))
    origin = f"rctl bench {bench}: {said.origin}"
    return msgspec.structs.replace(one, name=claim, origin=origin, group=GROUP, note=note or one.note)


def _not(claim: str, why: str) -> Figure:
    return Figure(claim, None, "count", why, verdict="not measured", group=GROUP)


def _judged(figure: Figure, budget: float) -> Verdict:
    from .figures.stats import judge

    assert figure.value is not None
    if figure.verdict == "cannot tell" and figure.budget == budget:
        return "cannot tell"
    return judge(figure.value, budget, figure.low, figure.high)


def _worst(found: Found) -> Figure:
    """The same claim for the application that pays most, because an average hides it."""
    claim = "under 1-2 % overhead: the application that pays most"
    all_of_them = [said for (bench, _), said in found.items() if bench == "overhead" and said.figure.group == _APPS]
    measured = [(said.figure.value, said) for said in all_of_them if said.figure.value is not None]
    if not measured:
        return _not(claim, "no application was measured in this run")
    _, said = max(measured, key=lambda pair: pair[0])
    worst = said.figure
    note = f"it is {worst.name}" + (f": {worst.note}" if worst.note else "")
    missed = [said.figure.name for said in all_of_them if said.figure.value is None]
    verdict = _judged(worst, 2.0)
    if missed:
        note += f"; not measured: {', '.join(missed)}"
        verdict = "cannot tell" if verdict == "pass" else verdict
    return msgspec.structs.replace(
        worst, name=claim, origin=f"rctl bench overhead: {said.origin}", note=note, group=GROUP, budget=2.0,
        verdict=verdict,
    )  # fmt: skip


def _live(found: Found) -> Figure:
    """The claim that every limit changes at once: a running process felt each that can be felt; the slowest counts."""
    claim = "every limit changed on the fly"
    tried = [said for (bench, _), said in found.items() if bench == "adjust" and said.figure.group == felt.GROUP]
    felt_by_rctl = [s for s in tried if s.figure.value is not None and s.figure.name.endswith(felt.BY_RCTL)]
    if not felt_by_rctl:
        return _not(claim, "rctl bench adjust was not part of this run")
    clock, _ = Counter(said.clock for said in felt_by_rctl).most_common(1)[0]
    mine = [said for said in felt_by_rctl if said.clock == clock]
    slowest = max(mine, key=lambda said: said.figure.value or 0.0)
    notes = [f"the slowest of {', '.join(map(_limit, mine))}"]
    notes += [
        f"on {_CLOCKS[said.clock]}: {_limit(said)} {shown(said.figure.value, 'seconds')}"
        for said in felt_by_rctl
        if said.clock != clock
    ]
    names = {_limit(said) for said in felt_by_rctl}
    missed = [said.figure.name for said in tried if said.figure.value is None and said.figure.name not in names]
    notes += [f"not felt here: {', '.join(missed)}"] if missed else []
    one = slowest.figure
    return Figure(
        claim, one.value, "seconds", f"rctl bench adjust: {slowest.origin}", one.low, one.high,
        verdict="cannot tell" if missed else "pass", group=GROUP, note="; ".join([*notes, _UNTRIED]),
    )  # fmt: skip


def _limit(said: Said) -> str:
    return said.figure.name.removesuffix(felt.BY_RCTL)
