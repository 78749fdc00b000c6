"""Benchmarks on a real kernel: what they measure is there, and they leave nothing behind, interrupted or not."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from rctl.adjust.lifecycle.processes import processes
from rctl.adjust.site import Site
from rctl.bench.figures.result import Figure
from rctl.bench.parts import adjust, benchmarks, density, felt, lifecycle, peers
from rctl.bench.parts.benchmarks import Setting
from rctl.bench.stage.guard import guarded
from rctl.bench.stage.place import controllers_as_before, own_name
from rctl.bench.workloads.base import PROGRAMS, PYTHON
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.cli import main
from rctl.ve import bare
from tests.kernel.helpers import MOUNT, RELEASE, enabled
from tests.kernel.shell import load_for_all, rctl
from tests.kernel.workload import until


def quiet(text: str) -> None:
    """Progress that nobody reads."""


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


@pytest.fixture(autouse=True)
def _no_ve_left(tree: Tree) -> Iterator[None]:
    yield
    assert tree.names() == []


def test_every_limit_is_felt_whoever_sets_it(site: Site, disk: Path) -> None:
    found = by_name(felt.measure(site, str(disk), rounds=1, tell=quiet))
    keys = ["pids.max", "cpu.max", "memory.max", "memory.high", "io.max"]
    if len(os.sched_getaffinity(0)) > 1:
        keys.append("cpuset.cpus")
    else:
        assert found.pop("cpuset.cpus").verdict == "not measured"
    assert set(found) == {f"{key} by {way}" for key in keys for way in ("rctl", "a bare write")}
    for figure in found.values():
        assert figure.value is not None, figure
        assert 0 < figure.value < felt.SECONDS, figure


def test_a_folder_on_no_disk_leaves_io_out_with_the_reason(site: Site) -> None:
    (io,) = [one for one in felt.limits("/proc") if isinstance(one, Figure) and one.name == "io.max"]
    assert io.origin == "/proc lies on no disk. Give --folder on one"


def test_a_limit_that_is_never_felt_is_no_figure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a worker that sleeps, when its CPU time is limited, then nothing is felt and nothing is made up."""

    def sleeps(_: Cgroup) -> Callable[[], Iterator[int]]:
        def work() -> Iterator[int]:
            yield 0
            signal.pause()

        return work

    only = felt.Limit("cpu.max", {"cpu.max": "max"}, {"cpu.max": 0.1}, sleeps, "never")
    monkeypatch.setattr(felt, "limits", lambda folder: iter([only]))
    monkeypatch.setattr(felt, "SECONDS", 0.2)
    (figure,) = felt.measure(site, "/", rounds=1, tell=quiet)
    assert (figure.value, figure.verdict) == (None, "not measured")
    assert figure.origin == "nothing was felt within 0.2 s"


def test_each_ve_costs_the_kernel_memory_and_a_process_costs_more(site: Site) -> None:
    figures, series = density.measure(site, ves=60, tell=quiet)
    found = by_name(figures)
    empty = found["kernel memory of an empty VE"].value
    full = found["memory of a VE with a sleeping process"].value
    assert empty is not None
    assert full is not None
    assert 1000 < empty < full < 4 << 20
    (growth,) = series
    assert growth.x[0] == 1
    assert growth.x[-1] == 60
    assert growth.y[-1] > growth.y[0]


def test_the_life_of_a_ve_is_timed_inside_by_hand_and_as_commands(site: Site) -> None:
    found = by_name(lifecycle.measure(site, rounds=1, tell=quiet))
    assert {lifecycle.START, lifecycle.STOP, "make, with 3 limits", "remove, by rmdir(2) alone"} < set(found)
    assert all(figure.value is not None and figure.value > 0 for figure in found.values())
    assert found[lifecycle.START].verdict == "cannot tell", "one round proves nothing"


def test_the_engine_is_timed_beside_bare_writes_and_other_tools(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_ROUNDS", 1)
    found = by_name(adjust.measure(site, rounds=3, ves=3, tell=quiet))
    assert {*adjust.CLAIMS, "rctl set", *peers._PEERS} == set(found)
    for name in (*adjust.CLAIMS, "rctl set"):
        assert found[name].value is not None, found[name]
    assert found["1 limit, many VEs"].verdict == "cannot tell", "three rounds prove nothing"
    assert all(figure.origin for figure in found.values())
    lacking = "cpu.max.burst" in found["10 limits, 1 VE"].origin
    assert lacking == (RELEASE < (5, 14)), "a limit that this kernel does not have is left out, and named"


def without_controllers(place: Path) -> None:
    for name in enabled(place):
        (place / "cgroup.subtree_control").write_text(f"-{name}")


def test_controllers_that_a_benchmark_enabled_are_not_left_to_everybody(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rctl.bench.parts.overhead.built", lambda folder: ((*PYTHON, str(PROGRAMS / "work.py")), "work.py")
    )
    without_controllers(place)
    done = rctl("bench", "overhead", "--only", "system call", "--time", "0s", "--clock", "wall")
    assert done.status == 0, done.err
    assert enabled(place) == []


def test_controllers_stay_for_a_ve_that_came_meanwhile(place: Path, tree: Tree) -> None:
    without_controllers(place)
    with controllers_as_before(tree):
        bare.make(tree, "web3").close()
        (place / "cgroup.subtree_control").write_text("+pids")
    try:
        assert enabled(place) == ["pids"]
    finally:
        bare.remove(tree, "web3")


def test_all_writes_results_with_their_claims_which_compare_reads(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    done = rctl("bench", "all", "--quick", "--only", "density", "--json", str(file), "--folder", str(tmp_path))
    assert done.status == 0, done.err
    assert "VEs with a sleeping process in 1 GB" in done.out
    density_, claims = json.loads(file.read_text())
    assert (density_["bench"], claims["bench"]) == ("density", "claims")
    (kept,) = [figure for figure in claims["figures"] if figure["name"].startswith("100 VEs in 1 GB")]
    assert kept["verdict"] == "pass"
    compared = rctl("bench", "compare", str(file), str(file), "--json")
    assert compared.status == 0, compared.err
    assert {line["change"] for line in json.loads(compared.out)["lines"]} <= {"same", "cannot tell"}


@pytest.mark.parametrize("words", [
    ("density", "--ves", "7"), ("density", "--ves", "many"), ("life", "--rounds", "0"), ("adjust", "--rounds", "2"),
    ("adjust", "--folder", "/no/such/folder"), ("all", "--only", "speed"), ("all", "--json", "/no/such/folder/a.json"),
    ("compare", "/no/such/a.json", "/no/such/b.json"), ("report", "/no/such/a.json"), ("virtual", "--rounds", "1"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_line(words: tuple[str, ...]) -> None:
    done = rctl("bench", *words)
    assert (done.status, done.out) == (2, ""), done
    assert done.err.startswith("rctl: ")
    assert done.err.count("\n") == 1


def interrupted(what: Callable[[], object], number: signal.Signals, ready: Callable[[int], object]) -> int:
    """Run something in a child, send it a signal once it is ``ready``, and return its exit status."""
    load_for_all()
    pid = os.fork()
    if not pid:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            what()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    status: list[int] = []

    def ended() -> bool:
        done, how = os.waitpid(pid, os.WNOHANG)
        status.extend([how] if done else [])
        return bool(done)

    until(lambda: ready(pid) or ended(), "the middle of the benchmark", 60)
    assert not status, f"it ended before its middle: {os.waitstatus_to_exitcode(status[0])}"
    os.kill(pid, number)
    until(ended, "its end", 60)
    return os.waitstatus_to_exitcode(status[0])


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("density", "--ves", "400"), signal.SIGINT),
        (("adjust", "--ves", "300", "--felt", "0"), signal.SIGTERM),
        (("all", "--only", "density"), signal.SIGTERM),
    ],
    ids=["density", "adjust", "all"],
)
def test_an_interrupted_benchmark_leaves_no_ve(tree: Tree, words: tuple[str, ...], number: signal.Signals) -> None:
    def command() -> None:
        sys.argv = ["rctl", "bench", *words]
        main()

    status = interrupted(command, number, lambda pid: len(tree.names()) > 20)
    assert status == 128 + number
    assert tree.names() == []


@pytest.mark.parametrize(
    "words",
    [
        ("density", "--ves", "60"),
        ("life", "--rounds", "100"),
        ("overhead", "--only", "compute", "--time", "1h"),
    ],
    ids=["density", "life", "overhead"],
)
def test_even_a_benchmark_that_is_killed_leaves_no_ve(
    tree: Tree, place: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rctl.bench.parts.overhead.built", lambda folder: ((*PYTHON, str(PROGRAMS / "work.py")), "work.py")
    )
    without_controllers(place)

    def command() -> None:
        sys.argv = ["rctl", "bench", *words]
        main()

    def under_way(_: int) -> bool:
        return any((ve / "cgroup.procs").read_text() for ve in ves())

    def ves() -> list[Path]:
        return [MOUNT / tree.path(name).strip("/") for name in tree.names()]

    assert interrupted(command, signal.SIGKILL, under_way) == -signal.SIGKILL
    until(lambda: not tree.names() and not enabled(place), "the guard's work", 60)


def test_the_guard_leaves_what_was_there_before(tree: Tree, place: Path) -> None:
    """Given somebody else's VE of such a name, and a controller in use, then both are as before."""
    without_controllers(place)
    theirs = f"{own_name()}-theirs"
    with bare.make(tree, theirs):
        (place / "cgroup.subtree_control").write_text("+pids")
        with guarded(tree):
            bare.make(tree, own_name()).close()
            (place / "cgroup.subtree_control").write_text("-pids")
        assert tree.names() == [theirs]
        assert enabled(place) == ["pids"]
    bare.remove(tree, theirs)


def test_what_a_second_interruption_left_while_it_cleared_up_goes_too(tree: Tree) -> None:
    """Given a benchmark that did not come to remove its VE, then whatever ended it, the VE is gone."""

    def interrupted_twice() -> None:
        with guarded(tree):
            bare.make(tree, own_name()).close()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert tree.names() == []


@pytest.mark.parametrize(("part", "number"), [(felt, signal.SIGINT), (lifecycle, signal.SIGTERM)])
def test_an_interrupted_worker_goes_with_its_ve(
    site: Site, part: object, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a child at work inside the VE, when the benchmark is told to end, then neither of them is left."""
    place = Setting(site, "/", quick=True, command="rctl bench")

    def command() -> None:
        import rctl.cli.app as cli

        app = typer.Typer()

        @app.command()
        def measure() -> None:
            (benchmarks.adjusted if part is felt else benchmarks.lived)(place, quiet)

        monkeypatch.setattr(cli, "root", lambda: typer.main.get_command(app))
        monkeypatch.setattr("rctl.bench.parts.adjust.measure", lambda *_, **__: [])
        sys.argv = ["rctl", "--"]
        main()

    def at_work(pid: int) -> bool:
        for name in site.tree.names():
            with site.tree.open_ve(name) as ve:
                return bool(processes(ve))
        return False

    assert interrupted(command, number, at_work) == 128 + number
    assert site.tree.names() == []
