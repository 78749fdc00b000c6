"""The gate's figures: what a VE may cost each workload, in per cent, by kernel. They only go down.

`python -m tests.overhead.ceilings RESULT.json` lowers those in ceilings.toml that a run of the gate came in below; to
raise one is a commit of its own, whose message says why.
"""

import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("ceilings.toml")
BUDGET, MEAN = 2.0, 1.0
"""Most that an application may cost, and all of them in the geometric mean, in per cent."""


def read(text: str, kernel: str) -> dict[str, float]:
    """The ceilings for a kernel; none for one that was never measured."""
    return dict(tomllib.loads(text)["ceiling"].get(kernel, {}))


def tolerance(text: str) -> float:
    """What a ceiling is above the measured figure, in percentage points."""
    return float(tomllib.loads(text)["tolerance"])


def lowered(text: str, kernel: str, measured: Mapping[str, float]) -> str:
    """The file with each ceiling of the kernel at its measured figure and the tolerance, where that is lower."""
    head, mark, rest = text.partition(f'[ceiling."{kernel}"]\n')
    table, gap, others = rest.partition("\n[")
    slack = tolerance(text)

    def line(match: re.Match[str]) -> str:
        name, old = match[1], float(match[2])
        new = math.ceil(100 * (measured[name] + slack)) / 100 if name in measured else old
        return f'"{name}" = {min(old, new):g}'

    return head + mark + re.sub(r'^"(.+)" = ([-\d.]+)$', line, table, flags=re.M) + gap + others


if __name__ == "__main__":
    result = json.loads(Path(sys.argv[1]).read_text())
    kernel = result["machine"]["lab kernel"]
    found = {figure["name"]: figure["value"] for figure in result["figures"] if figure["value"] is not None}
    FILE.write_text(lowered(FILE.read_text(), kernel, found))
