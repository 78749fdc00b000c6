"""rctl at work: three busy VEs, and each limit changed while they run. `make demo` starts this.

It runs on this machine if all of the limits can be set here; otherwise in the lab (a virtual machine, see tests/lab).
Exit status 0: every figure was within its allowance. 1: one was not, or the demo could not continue.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from demo_print import Printer  # noqa: E402 (after the path)
from demo_stage import MEMORY, DemoError, disk_folder  # noqa: E402

NEEDED = {f"controller {name}" for name in ("cpu", "cpuset", "io", "memory", "pids")}


def main() -> int:
    """Run the demo here or in the lab. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--lab", action="store_true", help="run in the lab, even if this machine could do it")
    where.add_argument("--here", action="store_true", help="run on this machine, without checking whether it can")
    parser.add_argument(
        "--color",
        action="store_true",
        default=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        help="use colour even in a pipe",
    )
    parser.add_argument("--width", type=int, default=columns(), help="columns of the terminal; 0: no terminal")
    options = parser.parse_args()
    out = Printer(options.color, options.width)
    try:
        if options.here or (not options.lab and can_play_here(out)):
            return play_here(out)
        return play_in_lab(out)
    except KeyboardInterrupt:
        out.stage("interrupted; everything is cleared away")
        return 130


def columns() -> int:
    """Columns of the terminal; 0 in a pipe, where nothing is cut."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 0


def can_play_here(out: Printer) -> bool:
    """True if this machine can set all limits that the demo changes; prints the reason if not."""
    out.stage("looking at this machine (rctl doctor)")
    done = subprocess.run(
        [sys.executable, "-m", "rctl", "doctor", "--json"], cwd=REPO, capture_output=True, text=True, check=False
    )
    checks = {check["name"]: check for check in json.loads(done.stdout or "[]")}
    lacking = [f"{c['name']}: {c['found']}" for c in checks.values() if c["state"] == "fail"]
    lacking += [f"{name}: not there" for name in sorted(NEEDED - checks.keys())]
    if len(os.sched_getaffinity(0)) < 2:
        lacking.append("CPUs: fewer than two")
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < MEMORY:
        lacking.append(f"memory: less than {MEMORY >> 20} MiB free")
    if not lacking and disk_folder() is None:
        lacking.append("disk: no folder on a disk that takes O_DIRECT")
    if lacking:
        out.stage(f"not here: {lacking[0]}" + (f" (and {len(lacking) - 1} more)" if lacking[1:] else ""))
    return not lacking


def play_here(out: Printer) -> int:
    """Run the demo on this machine."""
    out.stage("loading rctl")
    from demo_show import play

    from rctl import RctlError

    try:
        return 0 if play(out) else 1
    except (DemoError, RctlError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def play_in_lab(out: Printer) -> int:
    """Boot the lab and run the demo there."""
    from tests import lab
    from tests.lab import accel, disks
    from tests.lab.kernel import choose, prepare

    try:
        out.stage("preparing the lab: a kernel, and disks for it (kept in .lab for the next time)")
        kernel = prepare(choose())
        disks.stdlib()
        disks.venv()
        how = "with KVM" if accel.kvm(kernel) else "emulated: about a minute in all"
        out.stage(f"booting the lab (Linux {kernel.release}, 2 CPUs, 2 GB, {how})")
        begin = time.monotonic()
        status = lab.run(
            ["python", "examples/demo.py", "--here", "--width", str(out.width), *(["--color"] if out.color else [])],
            deadline=900,
        )
        out.stage(f"the lab is gone again, after {time.monotonic() - begin:.0f} s")
    except lab.LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
