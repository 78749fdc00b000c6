"""Debian's packages of tools for tests and benchmarks, fetched and unpacked into the lab's folder, never installed.

One suite for every machine, so that all test with the same versions; its programs run on any C library not older.

LAB_PROMETHEUS names a folder with bin/prometheus and bin/promtool to use instead (unset: Debian's).

Usage: python -m tests.lab.tools [NAME...]   (unset: all of them); prints their folders
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.lab.base import HOME, LabError, lock, tool
from tests.lab.kernel import HINT, own_lists

SUITE = "bookworm"
TOOLS = {
    "prometheus": ("prometheus",),
    "servers": (
        "nginx", "wrk", "redis-server", "redis-tools",
        # what these need besides the C library: not every machine has it
        "libatomic1", "libhiredis0.14", "libjemalloc2", "liblua5.1-0", "libluajit-5.1-2", "liblzf1", "libpcre2-8-0",
        "libssl3", "lua-bitop", "lua-cjson",
    ),
}  # fmt: skip
"""Packages by the name they are asked for with; what they depend on comes only where it is named too."""


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


def tools_folders(name: str) -> tuple[Path, ...]:
    """The folders bin, sbin and lib of the tools of this name, as far as needed; fetched the first time.

    Raises:
        LabError: there are no tools of this name, or they cannot be had.
    """
    if name == "prometheus":
        return (prometheus_folder() / "bin",)
    return tuple(path for part in ("bin", "sbin", "lib") if (path := unpacked(name) / part).is_dir())


def unpacked(name: str) -> Path:
    """The folder `usr` of the packages in TOOLS; fetched unless that is done.

    Raises:
        LabError: no such name, the mirror does not answer or lacks a package, or a Debian tool fails.
    """
    if name not in TOOLS:
        raise LabError(f"tools {name!r}: not known. Use one of: {', '.join(TOOLS)}")
    packages = TOOLS[name]
    digest = hashlib.sha256(" ".join((SUITE, *packages)).encode()).hexdigest()[:8]
    target = HOME / "tools" / f"{name}-{digest}"
    with lock("tools"):
        if not target.exists():
            print(f"lab: fetching Debian's {packages[0] if len(packages) == 1 else name}", file=sys.stderr, flush=True)
            _fetch(packages, target)
    return target / "usr"


def _fetch(packages: Sequence[str], target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="part-") as folder:
        work = Path(folder)
        (work / "lists" / "partial").mkdir(parents=True)
        options = own_lists(work, SUITE)
        tool("apt-get", "update", "-qq", *options, hint=HINT)
        tool("apt-get", "download", "-qq", *options, *packages, cwd=work, hint=HINT)
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


def main(names: list[str]) -> None:
    """Fetch the tools and print where they lie."""
    try:
        for name in names or TOOLS:
            print(*tools_folders(name))
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
