"""``rctl bench exporter``: the cost of a scrape, by number of VEs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from ...console.declare import Option
from ...console.flags import Json
from ...errors import UsageError
from .parts import PLACE, CheckFlag, _one

if TYPE_CHECKING:
    from ..figures.result import Result
    from ..parts.benchmarks import Setting

_MOST = 20000


def exporter(
    ves: Annotated[str, Option("--ves", metavar="N,N,...", help="Numbers of VEs, with commas")] = "1,100,1000,5000",
    profile: Annotated[str, Option(metavar="core|full", help="About 35 or about 150 series a VE")] = "full",
    rounds: Annotated[int, Option(min=3, max=1000, metavar="N", help="Scrapes of each")] = 8,
    below: Annotated[
        bool,
        Option("--below/--beside", help="VEs below one parent, as in a slice, or where rctl makes them"),
    ] = True,
    check: CheckFlag = False,
    json: Json = False,
) -> None:
    """Measure scrapes of the exporter beside a bare loop.

    The loop only reads the same files. A plain collector and other exporters are measured, too.
    """
    from ..parts import benchmarks

    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", ves):
        raise UsageError(f"--ves {ves!r}: not numbers. Write them with commas: 1,100,1000")
    counts = [int(word) for word in ves.split(",")]
    if not all(1 <= count <= _MOST for count in counts):
        raise UsageError(f"--ves {ves!r}: a number of VEs is 1 to {_MOST}. Write them like 1,100,1000")
    if profile not in ("core", "full"):
        raise UsageError(f"--profile {profile!r}: not a profile. Give core or full")

    def run(place: Setting, tell: Callable[[str], None]) -> Result:
        return benchmarks.exported(place, tell, counts=counts, profile=profile, rounds=rounds, below=below)

    _one(run, PLACE, json, check)
