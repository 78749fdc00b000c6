"""The gate's figures: what a VE may cost each workload, in per cent, by kernel. They only go down.

`python -m tests.overhead.ceilings RESULT.json...` lowers those in ceilings.toml that all these runs of the gate came in
below; to raise one is a commit of its own, whose message says why.
"""

import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

FILE = Path(__file__).with_name("ceilings.toml")
BUDGET, MEAN = 2.0, 1.0
"""Most that an application may cost, and all of them in the geometric mean, in per cent."""


def read(text: str, kernel: str) -> dict[str, float]:
    """The ceilings for a kernel; none for one that was never measured."""
    return dict(tomllib.loads(text)["ceiling"].get(kernel, {}))


def over(text: str) -> dict[str, str]:
    """The applications that are over the budget and are held at what they cost, with what they pay for."""
    return dict(tomllib.loads(text)["over"])


def tolerance(text: str, name: str) -> float:
    """What a workload's ceiling is above its measured figure, in percentage points."""
    found = tomllib.loads(text)["tolerance"]
    return float(found.get(name, found["usual"]))


def lowered(text: str, kernel: str, measured: Mapping[str, float]) -> str:
    """The file with each ceiling of the kernel at its measured figure and the tolerance, where that is lower."""
    head, mark, rest = text.partition(f'[ceiling."{kernel}"]\n')
    table, gap, others = rest.partition("\n[")

    def line(match: re.Match[str]) -> str:
        name, old = match[1], float(match[2])
        new = math.ceil(100 * (measured[name] + tolerance(text, name))) / 100 if name in measured else old
        return f'"{name}" = {min(old, new):g}'

    return head + mark + re.sub(r'^"(.+)" = ([-\d.]+)$', line, table, flags=re.M) + gap + others


def main(files: Sequence[str]) -> None:
    """Lower the ceilings to the highest figures of the results in these files, of what was measured in all of them."""
    results = [json.loads(Path(file).read_text()) for file in files]
    kernels = {result["machine"]["lab kernel"] for result in results}
    if len(kernels) != 1:
        sys.exit(f"ceilings: results of one kernel are needed, and these are of {len(kernels)}. Give files of one")
    runs = [{one["name"]: one["value"] for one in result["figures"] if one["value"] is not None} for result in results]
    highest = {name: max(run[name] for run in runs) for name in runs[0] if all(name in run for run in runs)}
    FILE.write_text(lowered(FILE.read_text(), kernels.pop(), highest))


if __name__ == "__main__":
    main(sys.argv[1:])
