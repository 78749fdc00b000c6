"""What ``make setup`` installs: each version with its hashes, the build backend too; what the audit says of it."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from rctl.errors import not_installed
from tests.audit import verdict

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
TOOLS = ("pip-tools", "pip-audit")


def normal(name: str) -> str:
    """A name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: str) -> dict[str, str]:
    """Version by name, of lines such as ``h11==0.16.0``, hashes and comments left out."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", (TOP / path).read_text(), re.MULTILINE)
    return {normal(name): version for name, version in lines}


def hashes(path: str) -> dict[str, int]:
    """How many hashes each package has."""
    text = (TOP / path).read_text()
    blocks = re.findall(r"^([A-Za-z0-9._-]+)==\S+((?: \\\n +--hash=sha256:[0-9a-f]{64})*)$", text, re.MULTILINE)
    return {normal(name): block.count("--hash=") for name, block in blocks}


def test_hashes_are_of_the_versions_that_are_pinned() -> None:
    """When they are not: ``make lock``."""
    assert pins("requirements.txt") == pins("constraints.txt")


@pytest.mark.parametrize("path", ["requirements.txt", ".ci/tools.txt"])
def test_every_pinned_version_has_hashes_and_no_host(path: str) -> None:
    found = hashes(path)
    assert found.keys() == pins(path).keys()
    assert all(found.values())
    assert not re.search(r"://|index-url|find-links|trusted-host", (TOP / path).read_text())


def test_whatever_the_project_needs_is_pinned() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    needed = [*PROJECT["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    names = {normal(re.match(r"[A-Za-z0-9._-]+", one)[0]) for one in needed}  # type: ignore[index]
    assert names - {"rctl"} <= pins("constraints.txt").keys()


def test_the_build_backend_is_pinned() -> None:
    version = pins("constraints.txt")["hatchling"]
    assert PROJECT["build-system"]["requires"] == [f"hatchling=={version}"]


def test_h11_is_a_version_without_the_known_smuggling_fault() -> None:
    """Before 0.16, h11 took malformed line ends in chunked bodies (CVE-2025-43859)."""
    assert "h11>=0.16" in PROJECT["project"]["optional-dependencies"]["exporter"]


def test_setup_checks_the_hashes_and_ci_audits() -> None:
    setup = (TOP / "Makefile").read_text()
    assert "--require-hashes -r requirements.txt" in setup
    assert "--no-deps --no-build-isolation -e ." in setup
    assert "audit" in (TOP / ".ci" / "run").read_text()


def test_the_tools_are_pinned() -> None:
    assert set(TOOLS) <= pins(".ci/tools.txt").keys()


# Installing


def test_nobody_is_told_to_install_rctl_by_its_name() -> None:
    """It is on no package index: what to type is a checkout's ``pip install '.[exporter]'``."""
    texts = [
        *TOP.glob("*.md"),
        *TOP.glob("exporters/**/*.md"),
        *TOP.glob("rctl/**/*.py"),
        *TOP.glob("exporters/**/*.py"),
    ]
    told = re.compile(r"(pip|pipx) install (--\S+ )*['\"]?rctl")
    assert [str(path) for path in texts if path.name != "CHANGELOG.md" and told.search(path.read_text())] == []


def test_a_missing_library_is_named_with_what_to_type() -> None:
    error = str(not_installed("plotly", "report", "the report"))
    assert error == (
        "plotly: not installed, and the report needs it. "
        f"In rctl's checkout, run: {sys.prefix}/bin/pip install '.[report]'"
    )


# What the audit says

CLEAN = {"name": "h11", "version": "0.16.0", "vulns": []}
BAD = {"name": "h11", "version": "0.14.0", "vulns": [{"id": "CVE-2025-43859", "fix_versions": ["0.16.0"]}]}
SKIPPED = {"name": "isal", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "told", "status"),
    [
        ([CLEAN], "1 of 1 packages checked, 0 known vulnerabilities", 0),
        ([CLEAN, BAD], "h11 0.14.0: CVE-2025-43859, mended in 0.16.0", 1),
        ([CLEAN, SKIPPED], "not checked: isal", 0),
        ([SKIPPED, SKIPPED], "nothing was checked: the vulnerability service knows none of the packages", 0),
    ],
)
def test_a_vulnerability_fails_the_audit(packages: list[object], told: str, status: int) -> None:
    lines, given = verdict(json.dumps({"dependencies": packages}), "No known vulnerabilities found")
    assert told in lines
    assert given == status


def test_a_service_that_cannot_be_reached_is_said_and_no_failure() -> None:
    lines, status = verdict("", "Traceback\nrequests.exceptions.ConnectionError: Max retries exceeded")
    assert lines[0].startswith("nothing was checked: the vulnerability service cannot be reached")
    assert status == 0


def test_an_audit_that_fails_is_a_failure() -> None:
    assert verdict("", "ValueError: no such option") == (["pip-audit failed: ValueError: no such option"], 1)
