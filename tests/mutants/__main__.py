"""``make mutants``: whether a test fails when the code that keeps rctl safe is changed.

mutmut changes one thing at a time in a module. That is a mutant. It runs the unit tests that reach the changed place.
A mutant dies when one of them fails, or hangs. At least 90 % of each module's mutants must die. README.md, beside
this file, explains those that survive.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

LEAST = 90.0  # per cent of a module's mutants
TOP = Path(__file__).parents[2]
WORK = TOP / "build/mutants"
MODULES = {
    "plan": (("planning/plan", "steps"), ("plan", "engine", "writers")),
    "shrink": (("shrink_memory",), ("shrink",)),
    "undo": (
        ("undoing/undo",),
        (
            "undo",
            "undo_since",
            "undo_dry",
            "cli_undo",
            "rename",
            "adjust_labels",
            "engine_made",
            "pending_history",
            "writers",
        ),
    ),
    "journal": (("records/journal",), ("journal", "journal_disk", "journal_end", "pending_history")),
    "recover": (("recovery/recover",), ("recover", "recover_end", "engine_made", "waiting", "writers")),
}
"""By name: files of ``rctl/adjust``, and the files of ``tests/unit`` that say what these do."""
DEAD = ("killed", "timeout")
CONFIGURATION = """

[tool.mutmut]
source_paths = ["rctl"]
only_mutate = [{files}]
pytest_add_cli_args_test_selection = [{tests}]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
also_copy = ["exporters"]
timeout_multiplier = 5.0
timeout_constant = 2.0
use_git_change_detection = false
"""


def main() -> int:
    """Returns the exit status: 1 when too many mutants of a module survive."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Mutation tests: ARGS='journal --jobs 4'")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; all when none is named")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at the same time (2)")
    asked = parser.parse_args()
    if unknown := sorted({*asked.modules} - {*MODULES}):
        parser.error(f"{', '.join(unknown)}: has no mutation tests. Name one of {', '.join(MODULES)}")
    rows, few = [], []
    for module in asked.modules or MODULES:
        began = time.monotonic()
        fates = mutated(module, asked.jobs)
        counts = Counter(fates.values())
        dead = sum(counts[fate] for fate in DEAD)
        share = 100 * dead / len(fates)
        if share < LEAST:
            few.append(module)
        told(module, fates)
        took = f"{time.monotonic() - began:.0f} s"
        others = len(fates) - dead
        rows.append((module, len(fates), counts["killed"], dead - counts["killed"], others, f"{share:.1f} %", took))
    print()
    for row in (("module", "mutants", "killed", "hung", "survived", "dead", "time"), *rows):
        print("{:10}{:>9}{:>9}{:>9}{:>10}{:>9}{:>9}".format(*row))
    for module in few:
        print(f"mutants: {module}: fewer than {LEAST:g} % die. Write tests: see tests/mutants/README.md")
    return int(bool(few))


def mutated(module: str, jobs: int) -> dict[str, str]:
    """Make the module's mutants in a folder of their own and try them. Returns what became of each, by its name."""
    place = WORK / module
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in ("rctl", "exporters", "tests"):
        (place / name).symlink_to(TOP / name)
    files, tests = MODULES[module]
    configuration = CONFIGURATION.format(
        files=", ".join(f'"rctl/adjust/{name}.py"' for name in files),
        tests=", ".join(f'"tests/unit/test_{name}.py"' for name in tests),
    )
    (place / "pyproject.toml").write_text((TOP / "pyproject.toml").read_text() + configuration)
    print(f"mutants: {module}: what mutmut prints is in {place.relative_to(TOP)}/output", flush=True)
    with open(place / "output", "w") as output:
        command = [*mutmut(), "run", "--max-children", str(jobs)]
        beside = {**os.environ, "PYTHONPATH": str(TOP)}  # other processes that tests start run rctl as it is
        ran = subprocess.run(command, cwd=place, env=beside, stdout=output, stderr=output)
    if ran.returncode:
        sys.exit(f"mutants: mutmut failed: {last_words(place / 'output')}")
    listed = subprocess.run([*mutmut(), "results", "--all", "true"], cwd=place, capture_output=True, text=True)
    lines = [line.split(": ") for line in listed.stdout.splitlines() if ": " in line]
    if not lines:
        sys.exit(f"mutants: mutmut made no mutants of {module}: {listed.stderr.strip()}")
    return {name.strip(): fate for name, fate in lines}


def mutmut() -> list[str]:
    return [sys.executable, "-m", "mutmut"]


def last_words(output: Path) -> str:
    return "\n".join(output.read_text().splitlines()[-40:])


def told(module: str, fates: dict[str, str]) -> None:
    """Print each mutant that survived: its name, and the lines that it changes."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    with contextlib.chdir(WORK / module):
        for name, fate in fates.items():
            if fate not in DEAD:
                print(f"{name}: {fate}")
                path = name.rpartition(".")[0].replace(".", "/") + ".py"
                for line in get_diff_for_mutant(name, path=path).splitlines()[2:]:
                    if line.startswith(("+", "-")):
                        print(f"    {line[0]} {line[1:].strip()}")


if __name__ == "__main__":
    os.environ.pop("RCTL_STATE", None)
    sys.exit(main())
