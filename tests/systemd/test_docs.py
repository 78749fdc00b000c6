"""The sessions in the documents that need a host with systemd, run as they stand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.console import matches, steps

REPO = Path(__file__).parents[2]
PAGES = [REPO / "README.md", REPO / "docs/howto/systemd.md"]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """No container, VE or limit is left of a page that is not true."""
    yield
    for command in (
        "docker rm -f shop",
        "rctl rm --kill web1",
        "systemctl revert nginx",
        "systemctl restart nginx",  # systemd 257 leaves a limit in the file
        "systemctl stop keep",
    ):
        subprocess.run(command.split(), capture_output=True, check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_true(page: Path) -> None:
    wrong = []
    for step in steps(page.read_text()):
        done = subprocess.run(["sh", "-c", f"{step.command} 2>&1"], capture_output=True, text=True, check=False)
        if not matches(step, done.stdout):
            wrong.append(f"# {step.command}\n{done.stdout}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)
