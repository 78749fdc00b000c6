"""Many short files of a cgroup at once, and which files it has. Plain files stand in for the kernel's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import GoneError, KernelError


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Cgroup]:
    for name, text in (("cgroup.procs", ""), ("pids.max", "max\n"), ("io.max", "8:0 rbps=1\n" * 1000)):
        (tmp_path / name).write_text(text)
    with Cgroup("/ve", os.open(tmp_path, os.O_RDONLY)) as found:
        yield found


def test_short_ones_and_long_ones_whole_and_none_that_is_not_there(cgroup: Cgroup) -> None:
    assert cgroup.texts(("pids.max", "cpu.max", "io.max")) == {"pids.max": "max\n", "io.max": "8:0 rbps=1\n" * 1000}


def test_of_a_cgroup_that_has_gone(cgroup: Cgroup, tmp_path: Path) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(GoneError):
        cgroup.texts(("pids.max",))
    with pytest.raises(GoneError):
        cgroup.files()


def test_what_is_there_and_cannot_be_read_is_told(cgroup: Cgroup, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").symlink_to("cpu.max")
    with pytest.raises(KernelError, match=r"cpu\.max"):
        cgroup.texts(("pids.max", "cpu.max"))


def test_a_cgroup_below_is_no_file(cgroup: Cgroup, tmp_path: Path) -> None:
    assert sorted(cgroup.files()) == ["cgroup.procs", "io.max", "pids.max"]
    (tmp_path / "below").mkdir()
    assert sorted(cgroup.files()) == ["cgroup.procs", "io.max", "pids.max"]


def test_no_descriptor_is_left(cgroup: Cgroup) -> None:
    before = len(os.listdir("/proc/self/fd"))
    cgroup.texts(("pids.max", "cpu.max", "io.max"))
    cgroup.files()
    assert len(os.listdir("/proc/self/fd")) == before
