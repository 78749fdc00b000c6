"""Lean VEs on a real kernel: no pressure is accounted for, and every verb copes with that."""

from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from tests.kernel.helpers import Ve
from tests.kernel.shell import rctl
from tests.kernel.test_cli import fails


@pytest.fixture
def able(place: Path, scratch: Path) -> bool:
    """Whether this kernel can leave pressure out of account for one cgroup (Linux 6.1)."""
    return (scratch / "cgroup.pressure").exists()


def test_a_lean_ve_has_no_pressure_files(tree: Tree, able: bool) -> None:
    done = rctl("run", "--lean", "job", "--pids", "20", "--", "true")
    assert done.status == 0
    ve = Ve(tree, "job")
    assert ve.text("pids.max") == "20"
    if able:
        assert done.err == ""
        assert ve.text("cgroup.pressure") == "0"
        assert not ve.has("cpu.pressure")
    else:
        assert done.err.startswith("rctl: --lean: this kernel has no cgroup.pressure")
        assert ve.has("cpu.pressure")


def test_a_lean_ve_is_listed_and_shown(tree: Tree, able: bool) -> None:
    assert rctl("run", "--lean", "job", "--memory", "64M", "--", "true").status == 0
    assert "job" in rctl("ls").out
    for verb in (["show", "job"], ["show", "job", "--json"], ["ls", "--json"]):
        done = rctl(*verb)
        assert (done.status, done.err) == (0, ""), verb


def test_a_lean_ve_is_shrunk_and_made_ordinary_again(tree: Tree, able: bool) -> None:
    assert rctl("run", "--lean", "job", "--memory", "64M", "--", "true").status == 0
    assert rctl("set", "job", "memory.max=32M").status == 0
    assert Ve(tree, "job").number("memory.max") == 32 << 20
    if able:
        assert rctl("set", "job", "files.cgroup.pressure=1").status == 0
        assert Ve(tree, "job").has("memory.pressure")


def test_lean_and_its_opposite_together_run_nothing(tree: Tree) -> None:
    fails(
        rctl("run", "--lean", "job", "-l", "files.cgroup.pressure=1", "--", "true"), 2, "--lean: files.cgroup.pressure"
    )
    assert tree.names() == []
