"""Where programs run and what is left of them; how benchmarks begin and end, without a kernel below them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.bench.parts import density
from rctl.bench.parts.adjust import Case
from rctl.bench.stage import machine, place
from rctl.bench.stage.place import Place, WorkError
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.errors import BusyError


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place in a folder that stands for a cgroup."""
    (tmp_path / "cgroup.procs").touch()
    with Cgroup("/here", os.open(tmp_path, os.O_RDONLY)) as cgroup:
        yield Place("here", cgroup, str(tmp_path))


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waited for counts."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_a_program_started_ends_with_it(here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a program with a child of its own, when it takes too long, then neither of them is left."""
    told = tmp_path / "told"
    wait = subprocess.Popen.communicate

    def impatient(self: subprocess.Popen[str], *_: object, **__: object) -> tuple[str, str]:
        while not (told.exists() and told.read_text().strip()):
            time.sleep(0.01)
        return wait(self, timeout=0)

    monkeypatch.setattr(subprocess.Popen, "communicate", impatient)
    with pytest.raises(WorkError, match="not done after"):
        here.run(["sh", "-c", f"sleep 1000 & echo $! >{told}; wait"])
    child = int(told.read_text())
    deadline = time.monotonic() + 20
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_ve_that_cannot_be_removed_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def remove(tree: Tree, name: str, kill: bool) -> None:
        asked.append(name)
        if name == "b":
            raise BusyError("b: busy")

    monkeypatch.setattr("rctl.ve.bare.exists", lambda tree, name: name != "gone")
    monkeypatch.setattr("rctl.ve.bare.remove", remove)
    with pytest.raises(BusyError, match="b: busy"):
        place.removed(Tree(Cgroup("/", -1)), "a", "b", "gone", "c")
    assert asked == ["a", "b", "c"]


@pytest.mark.parametrize(("noise", "said"), [(0.0, "pass"), (0.5, "cannot tell")])
def test_the_engine_is_within_its_promise_only_when_the_interval_is(noise: float, said: str) -> None:
    pairs = tuple((1.0, 1.9 + noise * (number % 3 - 1)) for number in range(12))
    figure = Case("10 limits, 1 VE", 2.0, pairs).figure()
    assert figure.value == pytest.approx(1.9)
    assert figure.verdict == said


@pytest.mark.parametrize(("points", "whole"), [([(1, 1000), (5, 900)], 9000), ([(1, 1000), (5, 5000)], -1)])
def test_memory_that_shrank_is_no_figure(points: list[tuple[int, int]], whole: int) -> None:
    with pytest.raises(WorkError, match="shrank"):
        density._figures(5, points, whole)


def test_how_many_ves_fit_is_told_from_what_each_takes() -> None:
    figures, _ = density._figures(8, [(1, 0), (8, 7 << 20)], 16 << 20)
    found = {figure.name: (figure.value, figure.verdict) for figure in figures}
    assert found["empty VEs in 1 GB"] == (1024.0, "")
    assert found["VEs with a sleeping process in 1 GB"] == (512.0, "pass")
    many, _ = density._figures(8, [(1, 0), (8, 7 << 20)], 8 * 11 << 20)
    assert many[-1].verdict == "fail"


def test_a_process_counts_once_it_sleeps() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            density._await_sleep(process.pid)
            assert density._state(process.pid) == "S"
        finally:
            process.kill()


def test_a_process_that_never_sleeps_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "_PATIENCE", 0.0)
    monkeypatch.setattr(density, "_state", lambda pid: "R")
    with pytest.raises(WorkError, match="should sleep"):
        density._await_sleep(1)


def test_the_load_of_a_result_is_that_from_before() -> None:
    assert machine.stamp("life", "", machine.Begin(time.time(), "7.5 0.0 0.0"), ()).machine["load"] == "7.5 0.0 0.0"


def test_density_begins_when_memory_of_earlier_ves_has_stopped_falling(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [9 << 20, 5 << 20, 4 << 20, 4 << 20, 1 << 20]
    monkeypatch.setattr(density, "meminfo", lambda *names: readings.pop(0))
    monkeypatch.setattr(density, "_PAUSE", 0.0)
    density._calm()
    assert readings == [1 << 20]
