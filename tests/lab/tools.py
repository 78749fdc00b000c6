"""Debian's packages of tools for tests and benchmarks, fetched and unpacked into the lab's folder, never installed.

One suite for every machine, so that all test with the same versions; its programs run on any C library not older.

LAB_PROMETHEUS names a folder with bin/prometheus and bin/promtool to use instead (unset: Debian's).

Usage: python -m tests.lab.tools [PACKAGE...]   (unset: prometheus); prints each folder
"""

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.lab.base import HOME, LabError, lock, tool
from tests.lab.kernel import HINT, own_lists

SUITE = "bookworm"


@cache
def prometheus_folder() -> Path:
    """The folder whose bin has `prometheus` and `promtool`, both known to start; fetched the first time (20 MB).

    Raises:
        LabError: the mirror does not answer, or the programs do not run here.
    """
    named = os.environ.get("LAB_PROMETHEUS")
    folder = Path(named) if named else unpacked("prometheus")
    for program in ("prometheus", "promtool"):
        _starts(folder / "bin" / program)
    return folder


def unpacked(package: str) -> Path:
    """The folder `usr` of a Debian package, without what it depends on; fetched unless that is done.

    Raises:
        LabError: the mirror does not answer or has no such package, or a Debian tool fails.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package):
        raise LabError(f"package {package!r}: no Debian package is named so. Write it like prometheus")
    target = HOME / "tools" / package
    with lock("tools"):
        if not target.exists():
            print(f"lab: fetching Debian's {package}", file=sys.stderr, flush=True)
            _fetch(package, target)
    return target / "usr"


def _fetch(package: str, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="part-") as folder:
        work = Path(folder)
        (work / "lists" / "partial").mkdir(parents=True)
        options = own_lists(work, SUITE)
        tool("apt-get", "update", "-qq", *options, hint=HINT)
        tool("apt-get", "download", "-qq", *options, package, cwd=work, hint=HINT)
        for archive in work.glob("*.deb"):
            tool("dpkg", "-x", archive, work / "root", hint="Is the disk full?")
        (work / "root").rename(target)


def _starts(program: Path) -> None:
    """Fail unless the program is there and finds its libraries."""
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        last = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        raise LabError(f"{program}: does not run here: {last}. Mend LAB_PROMETHEUS or delete {HOME}/tools") from None


def main(packages: list[str]) -> None:
    """Fetch the packages and print where each one lies."""
    try:
        for package in packages or ["prometheus"]:
            print(prometheus_folder() if package == "prometheus" else unpacked(package))
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
