"""``rctl bench overhead`` and ``rctl bench explain``: the cost of a VE, and the parts of that cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ...console.declare import Option
from ...console.flags import Json, command_line
from ...errors import UsageError

if TYPE_CHECKING:
    from ..figures.result import Figure, Result
    from ..parts.overhead import Run
    from ..workloads import Workload

OnlyFlag = Annotated[
    list[str] | None,
    Option("--only", metavar="NAME", help="Workloads by a part of their name or group, or a pattern. Repeatable"),
]
ClockFlag = Annotated[str, Option("--clock", metavar="CLOCK", help="auto, instructions (the lab's --icount), or wall")]
FilesFolder = Annotated[
    str,
    Option("--folder", metavar="FOLDER", help="Folder for the files of the workloads, on the disk to measure"),
]
RoundsFlag = Annotated[int, Option("--rounds", min=1, max=100, metavar="N", help="Pairs on the instruction clock")]


def overhead(
    budget: Annotated[str, Option("--budget", metavar="PERCENT", help="Highest cost that passes: 2%")] = "2%",
    time: Annotated[str, Option("--time", metavar="TIME", help="Time to measure on a real clock: 60s, 5min")] = "60s",
    only: OnlyFlag = None,
    clock: ClockFlag = "auto",
    rounds: RoundsFlag = 2,
    folder: FilesFolder = "/var/tmp",  # noqa: S108 (a new folder is made in it)
    lean: Annotated[bool, Option("--lean", help="Measure a VE without pressure accounting")] = False,
    inside: Annotated[
        str, Option("--in", metavar="NAME", help="Measure in this VE, unit or container, as it is; no VE is made")
    ] = "",
    list_: Annotated[bool, Option("--list", help="List the workloads and end")] = False,
    check: Annotated[bool, Option("--check", help="Exit with 1 unless every verdict is pass")] = False,
    json: Json = False,
) -> None:
    """Measure the same work bare and in a VE, by turns. Needs root.

    On an instruction clock each figure is a number with its range. On a real clock it has a 95 % confidence interval.
    The verdict may be "cannot tell"; then give it more --time.
    """
    from ...api.session import Session
    from ...console.output import tell
    from ...names.patterns import one
    from ..parts.overhead import OverheadOptions, measure, series
    from ..stage.guard import guarded
    from ..workloads import chosen

    works = chosen(only or [])
    if list_:
        _listed(works, json)
        return
    with Session() as s, guarded(s.tree):
        name = one(s.tree, inside) if inside else ""
        options = OverheadOptions(_share(budget), clock, rounds, _seconds(time), folder, lean, command_line(), name)
        run = measure(s.site, options, works, tell)
    _shown(run, run.result("overhead", series(run.figures)), json, check)


def explain(
    only: OnlyFlag = None,
    time: Annotated[str, Option("--time", metavar="TIME", help="Time to measure on a real clock: 60s, 5min")] = "5min",
    clock: ClockFlag = "auto",
    rounds: RoundsFlag = 2,
    folder: FilesFolder = "/var/tmp",  # noqa: S108 (a new folder is made in it)
    json: Json = False,
) -> None:
    """Measure the cost of each part of a VE. Needs root.

    The parts are each controller alone, depth, limits and pressure accounting. A figure is the extra time in per cent
    of the same work in the root cgroup. During the run, no other rctl may enable controllers. A state with fewer
    controllers than other cgroups use cannot be measured.
    """
    from ...api.session import Session
    from ...console.output import as_json, say, tell, warn
    from ..parts.explain import WORKS, measure
    from ..parts.overhead import OverheadOptions
    from ..stage.guard import guarded
    from ..workloads import ALL, chosen

    works = chosen(only) if only else tuple(work for work in ALL if work.name in WORKS)
    options = OverheadOptions(clock=clock, rounds=rounds, seconds=_seconds(time), folder=folder, command=command_line())
    with Session() as s, guarded(s.tree):
        run, series = measure(s.site, options, works, tell)
    tell("")
    if json:
        say(as_json(run.result("explain", series)))
    else:
        _taken_apart(run, works)
    if run.stop:
        warn("interrupted: these are the results so far")
        raise run.stop


def _taken_apart(run: Run, works: tuple[Workload, ...]) -> None:
    """Print a row for each state, a column for each workload; then the savings by the engine's choices."""
    from ...console.output import columns, say
    from ..parts.reasons import SAVED

    cells = {figure.name: figure for figure in run.figures if figure.group != SAVED}
    states = dict.fromkeys(name.removeprefix(f"{figure.group}: ") for name, figure in cells.items())
    rows = [(state, *(_cell(cells.get(f"{work.name}: {state}"), run.counted) for work in works)) for state in states]
    columns(("% MORE THAN BARE", *(work.name for work in works)), rows, frozenset(range(1, len(works) + 1)))
    if any(cell.startswith("~") for row in rows for cell in row):
        say(f"~: the difference may be chance. Give more {'--rounds' if run.counted else '--time'}")
    if choices := [figure for figure in run.figures if figure.group == SAVED]:
        say()
        lines = [(f.name, _number(f.value), _range(f.low, f.high), f.note) for f in choices]
        columns((SAVED.upper(), "%", "RANGE", "NOTE"), lines, frozenset({1, 2}))
    for name, why in run.facts.items():
        if name.startswith("not measured"):
            say(f"{name}: {why}")


def _cell(figure: Figure | None, exact: bool) -> str:
    """A figure; with ``~`` if its interval holds 0, or if a real clock gave none."""
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{'' if exact else '~'}{_number(figure.value)}"
    return f"{'~' if figure.low <= 0 <= figure.high and figure.low < figure.high else ''}{_number(figure.value)}"


def _listed(works: tuple[Workload, ...], json: bool) -> None:
    from ...console.output import as_json, columns, say
    from ..workloads.base import missing

    rows = [(work.group, work.name, work.what, missing(work.needs)) for work in works]
    if json:
        say(as_json([dict(zip(("group", "name", "what", "missing"), row, strict=True)) for row in rows]))
    else:
        columns(("GROUP", "WORKLOAD", "ONE OPERATION", "MISSING"), [(*row[:3], row[3] or "-") for row in rows])


def _shown(run: Run, result: Result, json: bool, check: bool) -> None:
    from ...console.output import as_json, columns, say, tell, warn
    from .show import checked

    tell("")
    if json:
        say(as_json(result))
    else:
        rows = [
            (
                f.name,
                _number(f.value),
                _range(f.low, f.high),
                f.verdict,
                f.note or (f.origin if f.value is None else ""),
            )
            for f in result.figures
        ]
        columns(("WORKLOAD", "OVERHEAD %", "RANGE", "VERDICT", "NOTE"), rows, right=frozenset({1, 2}))
        for name in ("VE", "limits that were hit"):
            if text := result.machine.get(name):
                say(f"{name}: {text}")
    if run.stop:
        warn("interrupted: these are the results so far")
        raise run.stop
    checked([result], check)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _range(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def _share(text: str) -> float:
    """A budget as a share: ``2%`` or ``0.02``. Raises UsageError, also for 200 % written as ``2``."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= (10 if text.endswith("%") else 1):
        raise UsageError(f"--budget {text!r}: not a share. Write it like 2% or 0.02")
    return value


def _seconds(text: str) -> float:
    from ...console.flags import seconds

    return seconds(text, "--time")
