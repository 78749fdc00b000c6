"""``rctl bench all``, ``report`` and ``compare``: run everything, make a page, compare with an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ...console.declare import Argument, Exit, Option
from ...console.flags import Json
from .parts import PLACE, CheckFlag, DiskFolder, setting

if TYPE_CHECKING:
    from ..figures.result import Result

ReportFile = Annotated[str | None, Option("--report", metavar="FILE", help="Write an HTML report with plots")]


def everything(
    report: ReportFile = None,
    json: Annotated[str | None, Option("--json", metavar="FILE", help="Write the results; - prints them")] = None,
    quick: Annotated[bool, Option("--quick", help="Measure fewer rounds; intervals are wide")] = False,
    only: Annotated[
        list[str] | None, Option("--only", metavar="NAME", help="Run only this benchmark. Repeatable")
    ] = None,
    folder: DiskFolder = PLACE,
    check: CheckFlag = False,
) -> None:
    """Run all benchmarks and judge the claims of 2006. Needs root.

    When interrupted, it writes the results so far and leaves no VE behind.
    """
    from ...console.output import tell, warn
    from .. import everything as run_of_all
    from .show import checked, show

    chosen = run_of_all.chosen(only or [], quick=quick)
    if report:
        from ..report import check as checked_file

        checked_file(report)
    if json not in (None, "-"):
        _write(json, [])
    with setting(folder, quick=quick) as place:
        run = run_of_all.run(place, chosen, tell, warn)
    if run.results:
        _keep(run.results, report, json)
        show(run.results, json=json == "-", one=False)
    if run.stop:
        raise run.stop
    if not any(figure.value is not None for result in run.results for figure in result.figures):
        raise Exit(1)
    checked(run.results, check)


def report(
    files: Annotated[list[str], Argument(metavar="FILE...", help="Results in JSON")],
    output: Annotated[str, Option("--output", "-o", metavar="FILE", help="The page to write")] = "report.html",
) -> None:
    """Make an HTML page of results in JSON.

    Prints the claims that follow from them. If a benchmark ran several times on one kind of clock, the last run counts.
    """
    import os

    from ...console.output import say, warn
    from ...errors import UsageError
    from .. import everything as run_of_all
    from ..figures.result import load
    from ..report import write
    from .show import show

    found = [result for file in files for result in load(file)]
    if os.path.exists(output) and any(os.path.samefile(output, file) for file in files):
        raise UsageError(f"--output {output}: is one of the results; writing there would destroy it. Give another file")
    results = run_of_all.with_claims(found)
    for name in run_of_all.superseded(found):
        warn(f"{name}: of several runs the last counts")
    write(output, results)
    show([result for result in results if result.bench == "claims"], json=False)
    say(f"{output}: written")


def compare(
    first: Annotated[str, Argument(metavar="A.json", help="The earlier results")],
    second: Annotated[str, Argument(metavar="B.json", help="The later results")],
    check: Annotated[bool, Option("--check", help="Exit with 1 if a figure became worse")] = False,
    json: Json = False,
) -> None:
    """Compare two runs.

    Each figure is better, worse, the same, or unclear.
    """
    from ..figures.compare import compare as compared
    from ..figures.result import load
    from .show import show_comparison

    found = compared(load(first), load(second))
    show_comparison(found, json=json)
    if check and found.worse:
        raise Exit(1)


def _keep(results: list[Result], report: str | None, json: str | None) -> None:
    if report:
        from ..report import write

        write(report, results)
    if json and json != "-":
        _write(json, results)


def _write(path: str | None, results: list[Result]) -> None:
    from ...console.output import as_json
    from ...errors import UsageError

    assert path is not None
    try:
        with open(path, "w" if results else "a", encoding="utf-8") as file:
            file.write(as_json(results) + "\n" if results else "")
    except OSError as error:
        raise UsageError(f"--json {path}: cannot be written: {error.strerror}. Give another file") from None
