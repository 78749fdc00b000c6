"""``rctl bench overhead`` and ``explain`` on a real kernel: work runs where it should, and nothing is left behind."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rctl.adjust.site import Site
from rctl.bench.parts import explain, overhead
from rctl.bench.parts.overhead import OverheadOptions, Run
from rctl.bench.stage import place
from rctl.bench.stage.place import Place, WorkError
from rctl.bench.workloads import chosen
from rctl.bench.workloads.base import PROGRAMS, PYTHON
from rctl.cgroupfs.tree import Tree
from rctl.cli import main
from rctl.host import Host
from tests.kernel.helpers import MOUNT, Ve, enabled
from tests.kernel.shell import forked, rctl
from tests.kernel.test_cli import fails
from tests.kernel.workload import until

TINY = chosen(["compute", "pipe ping-pong"])
NAME = place.own_name()


@pytest.fixture(autouse=True)
def _in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in set in Python: to compile the other takes a minute under emulation."""
    program = ((*PYTHON, str(PROGRAMS / "work.py")), "work.py")
    monkeypatch.setattr(overhead, "built", lambda folder: program)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """An empty folder."""
    (tmp_path / "files").mkdir()
    return str(tmp_path / "files")


@pytest.fixture
def quick(folder: str) -> OverheadOptions:
    """The shortest run there is."""
    return OverheadOptions(clock="wall", seconds=0, folder=folder)


@pytest.fixture
def inside(site: Site, folder: str) -> Iterator[Place]:
    """A place in a VE with the usual limits."""
    with place.ve(site, NAME, place.usual_limits(site.host, folder)) as cgroup:
        yield Place("inside", cgroup, folder)


def quiet(_: str) -> None:
    """Tell nobody."""


def test_a_program_runs_in_the_ve_and_its_memory_is_charged_there(inside: Place, tree: Tree) -> None:
    assert inside.run(["cat", "/proc/self/cgroup"]).endswith(f"0::{tree.path(NAME)}\n")
    before = Ve(tree, NAME).number("memory.current")
    program = inside.start(["sh", "-c", "dd if=/dev/zero of=file bs=1M count=8 2>/dev/null; sleep 1000"])
    until(lambda: Ve(tree, NAME).number("memory.current") > before + (8 << 20), "8 MiB of page cache more")
    program.kill()
    program.communicate()


def test_the_usual_limits_are_set_and_none_is_hit(inside: Place, tree: Tree, host: Host) -> None:
    ve = Ve(tree, NAME)
    assert ve.number("memory.max") == pytest.approx(0.9 * host.memory, rel=0.01)
    assert ve.text("cpu.max") != "max 100000"
    assert ve.text("pids.max") == "30000"
    inside.run(["true"])
    assert place.throttled(inside.cgroup) == []


def test_a_program_that_is_killed_says_by_what(inside: Place) -> None:
    with pytest.raises(WorkError, match=r"^sh: killed by SIGKILL"):
        inside.run(["sh", "-c", "kill -KILL $$"])
    with pytest.raises(WorkError, match=r"^sh: ended with 3: no luck"):
        inside.run(["sh", "-c", "echo no luck >&2; exit 3"])
    with pytest.raises(WorkError, match="cannot be run"):
        inside.run(["/no/such/program"])


def test_each_workload_has_a_figure_and_no_ve_is_left(site: Site, quick: OverheadOptions) -> None:
    result = overhead.overhead(site, quick, quiet, TINY)
    figures = {figure.name: figure for figure in result.figures}
    for work in TINY:
        assert figures[work.name].value is not None
        assert figures[work.name].verdict == "cannot tell"
    assert result.clock == "wall"
    assert result.machine["VE"].startswith("directly below the root, memory.max=90%")
    assert site.tree.names() == []
    assert os.listdir(quick.folder) == []


def test_a_lean_ve_is_measured_too(site: Site, quick: OverheadOptions) -> None:
    lean = OverheadOptions(clock="wall", seconds=0, folder=quick.folder, lean=True)
    with overhead.sides(site, Run(lean), quiet):
        ve = Ve(site.tree, NAME)
        assert not ve.has("cgroup.pressure") or ve.text("cgroup.pressure") == "0"
    assert site.tree.names() == []


def test_this_clock_is_no_instruction_clock(folder: str) -> None:
    done = rctl("bench", "overhead", "--clock", "instructions", "--only", "compute", "--folder", folder)
    fails(done, 2, "--clock instructions: this machine has no instruction clock")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_ve_and_prints_what_it_had(
    tree: Tree, folder: str, number: signal.Signals
) -> None:
    def interrupt() -> None:
        if os.fork():
            return
        try:
            parent = os.getppid()
            procs = MOUNT / tree.path(f"bench-{parent}").strip("/") / "cgroup.procs"
            until(lambda: procs.exists() and procs.read_text(), "work in the VE", 60)
            os.kill(parent, number)
        finally:
            os._exit(0)

    def run() -> None:
        interrupt()
        words = ["--only", "compute", "--clock", "wall", "--time", "1h", "--folder", folder, "--json"]
        sys.argv = ["rctl", "bench", "overhead", *words]
        main()

    done = forked(run)
    assert done.status == 128 + number
    assert json.loads(done.out)["interrupted"] is True
    assert "interrupted: these are the results so far" in done.err
    assert tree.names() == []
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--only", "no such thing"], "--only 'no such thing': no workload matches"),
        (["--budget", "two"], "--budget 'two'"),
        (["--time", "soon"], "--time"),
        (["--clock", "sun", "--only", "compute"], "--clock 'sun'"),
        (["--folder", "/no/such/folder"], "--folder /no/such/folder"),
    ],
)
def test_what_is_asked_wrongly_is_told_and_leaves_nothing(tree: Tree, words: list[str], reason: str) -> None:
    fails(rctl("bench", "overhead", *words), 2, reason)
    assert tree.names() == []


def test_the_cost_is_taken_apart_and_the_controllers_are_as_before(
    site: Site, place: Path, quick: OverheadOptions
) -> None:
    before = enabled(place)
    states = [explain.VeState("none"), explain.VeState("memory alone", ("memory",)), explain.STATES[9]]
    run, series = explain.measure(site, quick, TINY[:1], quiet, states)
    assert [one.name for one in series] == [state.name for state in states]
    assert [figure.name for figure in run.figures] == [f"compute: {state.name}" for state in states]
    assert enabled(place) == before
    assert site.tree.names() == []


def test_a_state_that_would_take_limits_from_others_is_not_measured(
    other: Ve, site: Site, quick: OverheadOptions, place: Path
) -> None:
    other.set({"pids.max": 20})
    states = [explain.VeState("none"), explain.VeState("memory and pids", ("memory", "pids"))]
    run, series = explain.measure(site, quick, TINY[:1], quiet, states)
    assert [one.name for one in series] == ["memory and pids"]
    assert run.facts["not measured: none"].startswith(f"pids: enabled in {site.tree.base} for others")
    assert other.text("pids.max") == "20"
    assert "pids" in enabled(place)


def test_a_cgroup_that_exists_is_measured_as_it_is(ve: Ve, site: Site, quick: OverheadOptions) -> None:
    before = ve.count("cpu.stat", "usage_usec")
    found = overhead.overhead(site, msgspec.structs.replace(quick, inside=ve.name), quiet, TINY)
    assert ve.count("cpu.stat", "usage_usec") > before
    assert found.machine["VE"] == f"{ve.name}, as it is: {ve.tree.path(ve.name)}"
    assert ve.dir.is_dir()
