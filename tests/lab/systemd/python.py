"""The Python packages of a host with systemd: rctl's own, for the Python of its Debian."""

import re
import shutil
from pathlib import Path

from tests.lab.base import REPO, tool
from tests.lab.disks import VENV

REQUIREMENTS = REPO / "requirements.txt"
UNUSED = {
    "ast-serialize", "grafana-foundation-sdk", "hatchling", "librt", "mypy", "mypy-extensions", "narwhals", "plotly",
    "promql-parser", "requests", "ruff", "trove-classifiers", "virtme-ng", "types-psutil", "types-pyyaml",
}  # fmt: skip
"""Packages that no test on such a host imports."""
PURE = ("cgroupspy", "cgroupspy-*", "rctl-*.dist-info")
"""Packages without a wheel, or without a release: taken from the virtual environment."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64", "any")
PLACE = "usr/share/lab/python"
START = """#!/usr/bin/python3
import sys
sys.argv[0] = "{name}"
from {module} import main
sys.exit(main())
"""


def install(root: Path, version: str, work: Path) -> None:
    """Install the packages for this version of Python (``3.11``) below ``root``.

    Raises:
        LabError: a package cannot be fetched.
    """
    target = root / PLACE
    wanted = work / "requirements.txt"
    wanted.write_text(_needed())
    words: list[str | Path] = [
        VENV / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--quiet",
        "--disable-pip-version-check",
    ]
    words += ["--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes", "--target", target]
    words += ["--python-version", version, "--implementation", "cp"]
    words += [word for name in PLATFORMS for word in ("--platform", name)]
    tool(*words, "-r", wanted, hint="Check the network, and that each package has a wheel")
    [packages] = (VENV / "lib").glob("python*/site-packages")
    for pattern in PURE:
        for source in packages.glob(pattern):
            shutil.copytree(source, target / source.name) if source.is_dir() else shutil.copy(source, target)
    (target / "rctl.pth").write_text(f"{REPO}\n{REPO / 'exporters'}\n")
    _link(root, version)


def digest() -> bytes:
    """What the packages depend on."""
    return _needed().encode() + str(REPO).encode()


def _needed() -> str:
    """The requirements without what is unused or has no wheel."""
    entries = re.split(r"\n(?=[A-Za-z])", REQUIREMENTS.read_text())
    skipped = UNUSED | set(PURE)
    return "\n".join(entry for entry in entries if entry.partition("==")[0] not in skipped and "==" in entry)


def _link(root: Path, version: str) -> None:
    """Let the system's Python find the packages, and the shell the programs."""
    place = root / "usr" / "local" / "lib" / f"python{version}" / "dist-packages"
    place.mkdir(parents=True, exist_ok=True)
    (place / "lab.pth").write_text(f"/{PLACE}\nimport site; site.addsitedir('/{PLACE}')\n")
    programs = root / "usr" / "local" / "bin"
    for name, module in {"rctl": "rctl.start", "rctl-exporter": "rctl_exporter.__main__"}.items():
        (programs / name).write_text(START.format(name=name, module=module))
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to("/usr/bin/python3")
