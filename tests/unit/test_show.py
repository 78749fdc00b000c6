"""What people and programs read from ``rctl show`` and ``rctl ls``."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rctl.api.session import Session
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.cli.verbs import ls as ls_module
from rctl.cli.verbs.show import show
from rctl.console.output import as_json
from rctl.errors import GoneError, NotFoundError, UsageError
from rctl.sample import Sample
from rctl.sample.rates import DeviceRates, Rates
from rctl.sample.reading import with_limits
from rctl.sample.sections import lines
from rctl.sample.view import View, views
from rctl.ve.copy import spec
from rctl.ve.processes import listing

PSI = "some avg10={} avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
WEB = {
    "cgroup.procs": "10\n11\n",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "cgroup.stat": "nr_descendants 0\n",
    "cpu.stat": (
        "usage_usec 9944184\nuser_usec 28924\nsystem_usec 9915260\n"
        "nr_periods 375\nnr_throttled 142\nthrottled_usec 5968970\n"
    ),
    "cpu.max": "150000 100000\n",
    "cpu.weight": "100\n",
    "cpu.pressure": PSI.format("14.52"),
    "memory.current": "104857600\n",
    "memory.peak": "125829120\n",
    "memory.max": "209715200\n",
    "memory.high": "max\n",
    "memory.low": "0\n",
    "memory.swap.current": "0\n",
    "memory.swap.max": "max\n",
    "memory.stat": "anon 52428800\nfile 41943040\nkernel 10485760\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n",
    "memory.pressure": PSI.format("1.50"),
    "io.stat": "8:0 rbytes=3072 wbytes=580543488 rios=3 wios=778\n",
    "io.max": "8:0 rbps=max wbps=20000000 riops=max wiops=max\n",
    "pids.current": "12\n",
    "pids.max": "50\n",
    "pids.events": "max 7\n",
}
ROOT = {"cgroup.procs": "1\n", "cpuset.cpus.effective": "0-3\n"}
HOST = {
    "/proc/meminfo": "MemTotal: 1048576 kB\nMemAvailable: 51200 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    "/sys/devices/system/cpu/online": "0-3\n",
}
DISKS = {"8:0": "sda", "": ""}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    for folder, texts in ((tmp_path, ROOT), (tmp_path / "rctl-web1", WEB)):
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
    with Tree(Cgroup("/", os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY))) as tree:
        yield tree


@pytest.fixture
def this_tree(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """The verbs find the fake tree."""
    copy = Tree(Cgroup("/", os.dup(tree.root.fd)))
    monkeypatch.setattr(Tree, "open", classmethod(lambda cls: copy))
    return copy


def view(tree: Tree) -> View:
    return views(tree, ["web1"], HOST.get)[0]


def test_show_for_people(tree: Tree) -> None:
    assert (
        "\n".join(lines(view(tree), DISKS.__getitem__))
        == """\
web1  /rctl-web1  running, 2 processes
limits
  memory.max         200M
  cpu.max            1.5 CPUs (150000 us of each 100000 us)
  io.max sda         wbps 20M/s
  pids.max           50
usage
  memory             100M, peak 120M (anon 50M, file 40M, kernel 10M)
  swap               0
  memory events      max 3, oom 1, oom_kill 1
  CPU time           9.94418 s (user 0.028924 s, system 9.91526 s)
  CPU throttled      5.96897 s in 142 of 375 periods
  processes, threads 12, 7 forks refused
  disk sda           read 3K in 3, wrote 553.6M in 778
pressure, %          some 10s    60s   300s   full 10s    60s   300s
  cpu                   14.52   0.00   0.00       0.00   0.00   0.00
  memory                 1.50   0.00   0.00       0.00   0.00   0.00
headroom
  memory.max         50M (5%) to what the host has free
  memory.swap.max    0 (0%) to what the host has free
  pids.max           38 (76%) to the limit of /rctl-web1
effective (the lowest on the way up)
  cpu.max            1.5 CPUs from /rctl-web1
  cpuset.cpus        0-3 from host
  memory.max         200M from /rctl-web1
  memory.swap.max    0 from host
  pids.max           50 from /rctl-web1
  nothing binds      memory.high"""
    )


def test_rates_come_last(tree: Tree) -> None:
    from msgspec.structs import replace

    rates = Rates(1.0, 0.525, 0.25, {"8:0": DeviceRates(0, 20e6, 0, 40)}, {"io": {"some": 44.4, "full": 40}})
    assert list(lines(replace(view(tree), rates=rates), DISKS.__getitem__))[-4:] == [
        "rates over 1 s",
        "  CPU                0.525 CPUs, 0.25 more held back",
        "  disk sda           read 0/s in 0/s, wrote 20M/s in 40/s",
        "  pressure io        some 44.4%, full 40%",
    ]


def test_a_host_without_psi_says_so(tree: Tree, tmp_path: Path) -> None:
    for kind in ("cpu", "memory"):
        (tmp_path / "rctl-web1" / f"{kind}.pressure").unlink()
    told = list(lines(view(tree), str))
    assert "pressure: accounting is off, for this VE (cgroup.pressure) or on this kernel. See rctl doctor" in told


def test_show_for_programs_is_exact(tree: Tree) -> None:
    data = json.loads(as_json(view(tree).exact()))
    assert data["memory"]["current"] == 104857600
    assert data["memory"]["high"] == "max"
    assert data["limits"]["io.max"] == {"8:0": {"rbps": "max", "wbps": 20000000, "riops": "max", "wiops": "max"}}
    assert data["effective"]["memory.max"] == {"limit": 209715200, "source": "/rctl-web1", "file": "memory.max"}
    assert data["effective"]["cpuset.cpus"]["limit"] == "0-3"
    assert data["headroom"]["pids.max"] == {"left": 38, "percent": 76.0, "source": "/rctl-web1"}
    assert data["rates"] is None


def test_no_cpu_limit_is_max_for_programs_and_unknown_is_null(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "rctl-web1" / "cpu.max").write_text("max 100000\n")
    assert json.loads(as_json(view(tree).exact()))["cpu"]["max"] == "max"
    (tmp_path / "rctl-web1" / "cpu.max").unlink()
    (tmp_path / "rctl-web1" / "cpu.weight").unlink()
    assert json.loads(as_json(view(tree).exact()))["cpu"]["max"] is None


@pytest.mark.parametrize("interval", ["0", "2h", "soon"])
def test_an_interval_that_makes_no_sense_is_refused(interval: str) -> None:
    with pytest.raises(UsageError, match="--interval"):
        show(["web1"], interval=interval)


@pytest.mark.usefixtures("this_tree")
class TestVerbs:
    def test_show_json_is_a_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        show(["web*"], json=True)
        assert [ve["name"] for ve in json.loads(capsys.readouterr().out)] == ["web1"]

    def test_ls_shows_use_beside_limit(self, capsys: pytest.CaptureFixture[str]) -> None:
        ls_module.ls()
        head, row = capsys.readouterr().out.splitlines()
        assert head.split() == list(ls_module.HEAD[:-1]), "all are rctl's"
        assert row.split() == ["web1", "running", "2", "0:00:09", "1.5", "100M", "200M", "50%", "0", "12", "50", "1.5%"]

    def test_ls_without_ves_says_how_to_make_one(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for file in (tmp_path / "rctl-web1").iterdir():
            file.unlink()
        (tmp_path / "rctl-web1").rmdir()
        ls_module.ls()
        seen = capsys.readouterr()
        assert (seen.out, seen.err) == ("", "rctl: no VEs yet. Make one: rctl run NAME --memory 1G -- CMD\n")

    def test_ls_json_of_nothing_is_an_empty_list(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "rctl-web1").rename(tmp_path / "other")
        ls_module.ls(json=True)
        assert json.loads(capsys.readouterr().out) == []

    def test_ls_all_shows_foreign_cgroups_by_name_with_their_owner(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "nginx.service").mkdir()
        for name in ("cgroup.procs", "cgroup.events"):
            (tmp_path / "nginx.service" / name).write_text("20\n" if name == "cgroup.procs" else "populated 1\n")
        ls_module.ls(["*nginx*"], everything=True)
        head, row = (line.split() for line in capsys.readouterr().out.splitlines())
        assert (row[:3], head[-1], row[-1]) == (["nginx.service", "running", "1"], "OWNER", "systemd")

    def test_ls_all_as_json_says_all_that_is_known(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "nginx.service").mkdir()
        (tmp_path / "nginx.service/cgroup.procs").write_text("20\n")
        (tmp_path / "nginx.service/cgroup.events").write_text("populated 1\n")
        ls_module.ls(["/nginx*"], everything=True, json=True)
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["path"], row["owner"], row["unit"]) == ("/nginx.service", "systemd", "nginx.service")
        assert (row["container"], row["image"], row["pod"], row["namespace"]) == (None,) * 4

    def test_ls_all_of_nothing_that_matches_is_an_error(self) -> None:
        with pytest.raises(NotFoundError, match="no cgroup with processes matches"):
            ls_module.ls(["*nginx*"], everything=True)


@pytest.mark.parametrize("interval", [None, 0.001])
def test_one_ve_is_open_at_a_time_however_many_are_asked_for(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: float | None
) -> None:
    names = ["web1", *(f"w{number}" for number in range(20))]
    for name in names[1:]:
        shutil.copytree(tmp_path / "rctl-web1", tmp_path / f"rctl-{name}")
    open_files: set[int] = set()

    def reading(ve: Cgroup, name: str) -> tuple[Sample, dict[str, str]]:
        open_files.add(len(os.listdir("/proc/self/fd")))
        return with_limits(ve, name)

    monkeypatch.setattr("rctl.sample.view.with_limits", reading)
    assert [view.sample.name for view in views(tree, names, HOST.get, interval)] == names
    assert len(open_files) == 1


def test_only_the_second_reading_of_an_interval_reads_limits(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a VE with counters and limits, when one asks for rates, then the first reading opens counters alone."""
    asked: list[str] = []
    read_if_there = Cgroup.read_if_there

    def noted(cgroup: Cgroup, name: str) -> str | None:
        asked.append(name)
        return read_if_there(cgroup, name)

    def between(_: float) -> None:
        first.extend(asked)
        (tmp_path / "rctl-web1" / "cpu.stat").write_text("usage_usec 19944184\n")

    first: list[str] = []
    monkeypatch.setattr(Cgroup, "read_if_there", noted)
    monkeypatch.setattr(time, "sleep", between)
    (found,) = views(tree, ["web1"], HOST.get, 1.0)
    assert set(first) == {"cgroup.events", "cpu.stat", "io.stat"} | {name for name in first if "pressure" in name}
    assert found.sample.limits["pids.max"] == 50
    assert found.rates
    assert found.rates.cpus
    assert found.rates.pressure.keys() == {"cpu", "memory"}


def test_rates_of_a_ve_that_was_made_anew_in_the_interval_are_refused(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def anew(_: float) -> None:
        (tmp_path / "rctl-web1").rename(tmp_path / "old")
        shutil.copytree(tmp_path / "old", tmp_path / "rctl-web1")

    monkeypatch.setattr(time, "sleep", anew)
    with pytest.raises(GoneError, match="/rctl-web1"):
        views(tree, ["web1"], HOST.get, 1.0, named=["web1"])


def export(tree: Tree, names: Sequence[str], named: Sequence[str]) -> tuple[str, list[str]]:
    return spec(Session(tree=tree).site, names, named)


def test_a_ve_that_goes_while_others_are_looked_at_is_left_out_unless_it_was_asked_for_by_name(tree: Tree) -> None:
    assert [view.sample.name for view in views(tree, ["web1", "gone"], HOST.get, named=["*"])] == ["web1"]
    assert export(tree, ["gone"], ["*"]) == ("version = 1\n\n[ve]", [])
    assert listing(tree, ["gone"], ["*"]) == []
    for named in ("gone", "/rctl-gone"):
        every: tuple[Callable[..., Any], ...] = (partial(views, host=HOST.get), export, listing)
        for looks in every:
            with pytest.raises(NotFoundError):
                looks(tree, ["gone"], named=[named])
