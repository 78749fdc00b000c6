"""Every session in the documents, run as it stands, prints what the page says."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate.files import FILES, general
from tests.kernel.console import Console, files, matches, steps
from tests.kernel.helpers import MOUNT
from tests.kernel.shell import NOBODY
from tests.pycon import wrong

DOCS = Path(__file__).parents[2] / "docs"
ON_SYSTEMD = {DOCS / "howto/systemd.md"}
"""Pages that ``tests/systemd`` runs."""
PAGES = [page for page in sorted({*DOCS.rglob("*.md")} - ON_SYSTEMD) if any(steps(page.read_text()))]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a user without rights can work in, too."""
    place = Path(tempfile.mkdtemp(prefix="rctl-docs-"))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def has_burst() -> bool:
    """Whether the kernel has cpu.max.burst. It came with cgroup.kill, which needs no controller."""
    probe = MOUNT / "probe"
    probe.mkdir()
    found = (probe / "cgroup.kill").exists()
    probe.rmdir()
    return found


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_true(page: Path, folder: Path, has_burst: bool) -> None:
    text = page.read_text()
    if "cpu.burst" in text and not has_burst:
        pytest.skip("cpu.max.burst came with Linux 5.14")
    for name, content in files(text).items():
        (folder / name).write_text(content)
    (folder / "state").mkdir()
    os.chown(folder / "state", NOBODY, NOBODY)
    console = Console(folder, {"RCTL_STATE": f"{folder}/state"})
    wrong = []
    for step in steps(text):
        printed = console.run(step)
        if not matches(step, printed):
            wrong.append(f"$ {step.command}\n{printed}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)
    for name in ("box", "ours"):
        for path in (MOUNT / name / "own", MOUNT / name):
            if path.exists():
                path.rmdir()


@pytest.mark.usefixtures("as_root")
def test_the_python_on_its_page_is_true(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCTL_STATE", f"{folder}/state")
    monkeypatch.chdir(folder)
    assert wrong(DOCS / "howto/python.md", folder) == ""
    os.waitpid(-1, 0)  # the command that the page leaves running, and kills


def test_each_file_of_a_cgroup_is_on_the_map(scratch: Path) -> None:
    there = {general(path.name) for path in (*scratch.iterdir(), *MOUNT.iterdir()) if path.is_file()}
    assert there - set(FILES) == set()
