"""From kernel files to a Sample, and what follows from it. Fake directories prove the parsing only."""

from __future__ import annotations

import inspect
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.adjust.lifecycle.processes import processes as inside
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.errors import GoneError, NotFoundError
from rctl.ranges import Ranges
from rctl.sample import Sample, read
from rctl.sample.effective import Bound, Room, effective, headroom
from rctl.sample.levels import Level, host, way_up
from rctl.sample.limits import NAMES, changed, values
from rctl.sample.overview import foreign_rows, rows
from rctl.sample.population import foreign, processes
from rctl.sample.rates import DeviceRates, rates
from rctl.units import MAX

CORE = {"cgroup.procs": "", "cgroup.events": "populated 1\nfrozen 0\n", "cgroup.stat": "nr_descendants 0\n"}
WEB = CORE | {
    "cgroup.procs": "10\n11\n",
    "cpu.stat": "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n",
    "cpu.max": "150000 100000\n",
    "cpu.weight": "100\n",
    "memory.current": "104857600\n",
    "memory.max": "209715200\n",
    "memory.high": "max\n",
    "memory.swap.current": "0\n",
    "memory.swap.max": "max\n",
    "memory.stat": "anon 52428800\nfile 41943040\n",
    "memory.pressure": "some avg10=1.50 avg60=0.00 avg300=0.00 total=1000\n",
    "io.stat": "8:0 rbytes=4096 wbytes=0 rios=1 wios=0\n",
    "io.max": "8:0 rbps=1048576 wbps=max riops=max wiops=max\n",
    "pids.current": "12\n",
    "pids.max": "max\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.max": "4194304\n",
    "hugetlb.2MB.rsvd.max": "max\n",
}


def cgroup_folder(folder: Path, texts: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def opened(folder: Path, path: str = "/x") -> Cgroup:
    return Cgroup(path, os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


def sample_of(folder: Path, texts: Mapping[str, str], name: str = "web1") -> Sample:
    with opened(cgroup_folder(folder, texts)) as ve:
        return read(ve, name)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were asked for, in order."""
    found: list[str] = []
    read_if_there = Cgroup.read_if_there

    def noted(cgroup: Cgroup, name: str) -> str | None:
        found.append(name)
        return read_if_there(cgroup, name)

    monkeypatch.setattr(Cgroup, "read_if_there", noted)
    return found


class TestSample:
    def test_it_reads_every_controller_that_is_there(self, tmp_path: Path) -> None:
        sample = sample_of(tmp_path, WEB)
        assert (sample.name, sample.path, sample.state) == ("web1", "/x", "running")
        assert sample.cpu
        assert (sample.cpu.max, sample.cpu.stat["usage_usec"]) == (1.5, 5_000_000)
        assert sample.memory
        assert (sample.memory.current, sample.memory.high) == (104857600, MAX)
        assert sample.memory.peak is None
        assert sample.io
        assert sample.io.stat["8:0"]["rbytes"] == 4096
        assert sample.hugetlb == {"2MB": (2097152, 4194304)}
        assert sample.pressure["memory"]["some"].avg10 == 1.5

    def test_a_controller_that_is_not_enabled_is_none(self, tmp_path: Path) -> None:
        sample = sample_of(tmp_path, CORE)
        assert (sample.memory, sample.io, sample.pids, sample.cpuset, sample.cpu) == (None,) * 5
        assert sample.pressure == {}

    @pytest.mark.parametrize(
        ("events", "state"),
        [
            ("populated 0\nfrozen 0\n", "empty"),
            ("populated 1\nfrozen 0\n", "running"),
            ("populated 1\nfrozen 1\n", "frozen"),
        ],
    )
    def test_its_state_is_the_kernels_word(self, tmp_path: Path, events: str, state: str) -> None:
        assert sample_of(tmp_path, CORE | {"cgroup.events": events}).state == state

    def test_a_removed_ve_is_gone(self, tmp_path: Path) -> None:
        folder = cgroup_folder(tmp_path / "ve", WEB)
        with opened(folder) as ve:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
            with pytest.raises(GoneError, match="removed"):
                read(ve, "web1")

    def test_the_root_is_never_empty(self, tmp_path: Path) -> None:
        with opened(cgroup_folder(tmp_path, {"cgroup.procs": "1\n"}), "/") as root:
            assert read(root, "/").state == "running"

    def test_it_reads_the_counters_of_rates_before_all_else(self, tmp_path: Path, reads: list[str]) -> None:
        """Given that a reading takes its time, when a VE is read, then its counters are read next to its clock."""
        sample = sample_of(tmp_path, WEB | {"memory.low": "0\n", "io.latency": ""})
        counted = {
            "cgroup.events",
            "cpu.stat",
            "io.stat",
            "cpu.pressure",
            "memory.pressure",
            "io.pressure",
            "irq.pressure",
        }
        assert set(reads[: len(counted)]) == counted
        assert reads.index("memory.stat") < reads.index("memory.low")
        assert len(reads) == len(set(reads))
        whole = [name for name in NAMES if name in sample.limits]
        assert list(sample.limits) == [*whole, "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"]

    def test_it_has_every_limit_that_is_there_by_its_file(self, tmp_path: Path) -> None:
        """Given limits of each kind, when a VE is read, then they are there as numbers, MAX, or by device."""
        more = {"memory.swap.high": "4096\n", "memory.low": "0\n", "io.latency": "8:0 target=75000\n"}
        assert sample_of(tmp_path, WEB | more).limits == {
            "memory.max": 209715200,
            "memory.high": MAX,
            "memory.low": 0,
            "memory.swap.max": MAX,
            "memory.swap.high": 4096,
            "cpu.max": {"quota": 150000, "period": 100000},
            "cpu.weight": 100,
            "io.max": {"8:0": {"rbps": 1048576, "wbps": MAX, "riops": MAX, "wiops": MAX}},
            "io.latency": {"8:0": {"target": 75000}},
            "pids.max": MAX,
            "hugetlb.2MB.max": 4194304,
            "hugetlb.2MB.rsvd.max": MAX,
        }


class TestRates:
    def two(self, folder: Path, later: Mapping[str, str], seconds: float) -> tuple[Sample, Sample]:
        from msgspec.structs import replace

        before = sample_of(folder / "a", WEB)
        return before, replace(sample_of(folder / "b", {**WEB, **later}), clock=before.clock + seconds)

    def test_counters_become_means_over_the_span(self, tmp_path: Path) -> None:
        later = {
            "cpu.stat": "usage_usec 8000000\n",
            "io.stat": "8:0 rbytes=8192 wbytes=2000 rios=3 wios=2\n8:16 rbytes=200 wbytes=0 rios=2 wios=0\n",
            "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=501000\n",
        }
        found = rates(*self.two(tmp_path, later, 2.0))
        assert found.cpus == pytest.approx(1.5)
        assert found.throttled is None
        assert found.io == {"8:0": DeviceRates(2048, 1000, 1, 1), "8:16": DeviceRates(100, 0, 1, 0)}
        assert found.pressure["memory"]["some"] == pytest.approx(25.0)

    def test_a_counter_that_began_anew_has_not_grown(self, tmp_path: Path) -> None:
        found = rates(*self.two(tmp_path, {"cpu.stat": "usage_usec 5\n"}, 1.0))
        assert found.cpus == 0

    @pytest.mark.parametrize("step", [-3600.0, 0.0, 3600.0])
    def test_a_stepped_clock_changes_no_rate_and_raises_nothing(self, tmp_path: Path, step: float) -> None:
        from msgspec.structs import replace

        before, after = self.two(tmp_path, {"cpu.stat": "usage_usec 8000000\n"}, 2.0)
        after = replace(after, time=before.time + step)
        assert (rates(before, after).seconds, rates(before, after).cpus) == pytest.approx((2.0, 1.5))

    def test_the_time_of_day_does_not_measure_spans(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time", lambda: 0.0)
        before, after = sample_of(tmp_path / "a", WEB), sample_of(tmp_path / "b", WEB)
        assert rates(before, after).seconds > 0

    def test_samples_in_the_wrong_order_are_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="not later"):
            rates(*self.two(tmp_path, {}, -1.0))


HOST = Level("host", {"memory.max": "1000", "memory.current": "300", "pids.max": "500", "cpuset.cpus.effective": "0-3"})


class TestEffective:
    def test_the_tightest_limit_on_the_way_up_wins_and_is_named(self) -> None:
        ve = Level("/team/a", {"memory.max": "800", "memory.high": "max", "pids.max": "max", "cpu.max": "max 100000"})
        team = Level(
            "/team", {"memory.max": "600", "memory.high": "500", "pids.max": "max", "cpu.max": "150000 100000"}
        )
        found = effective((ve, team, HOST))
        assert found["memory.max"] == Bound(600, "/team", "memory.max")
        assert found["memory.high"] == Bound(500, "/team", "memory.high")
        assert found["pids.max"] == Bound(500, "host", "pids.max")
        assert found["cpu.max"] == Bound(1.5, "/team", "cpu.max")

    def test_without_any_limit_nothing_binds_but_the_host(self) -> None:
        found = effective((Level("/a", {"memory.max": "max", "memory.high": "max"}), HOST))
        assert found["memory.max"] == Bound(1000, "host", "memory.max")
        assert found["memory.high"] == Bound(MAX, "", "memory.high")
        assert found["cpu.max"] == Bound(4.0, "host", "cpuset.cpus")

    def test_the_ve_is_named_when_its_limit_equals_the_hosts(self) -> None:
        assert effective((Level("/a", {"memory.max": "1000"}), HOST))["memory.max"].source == "/a"

    def test_zero_is_a_limit(self) -> None:
        level = Level("/a", {"memory.swap.max": "0", "memory.swap.current": "0"})
        assert effective((level, HOST))["memory.swap.max"] == Bound(0, "/a", "memory.swap.max")
        assert headroom((level, HOST))["memory.swap.max"] == Room(0, 0.0, "/a")

    def test_a_cpu_list_comes_from_where_it_became_shorter(self) -> None:
        levels = (
            Level("/t/a", {"cpuset.cpus.effective": "0-1"}),
            Level("/t", {"cpuset.cpus.effective": "0-1"}),
            Level("/", {"cpuset.cpus.effective": "0-3"}),
            HOST,
        )
        found = effective(levels)
        assert found["cpuset.cpus"] == Bound(Ranges((0, 1)), "/t", "cpuset.cpus")
        assert found["cpu.max"] == Bound(2.0, "/t", "cpuset.cpus")
        assert effective(levels[2:])["cpuset.cpus"].source == "host"

    def test_each_limit_of_memory_and_swap_binds_all_below(self) -> None:
        above = {"memory.swap.high": "500", "memory.zswap.max": "400", "memory.zswap.current": "100"}
        levels = Level("/t/a", dict.fromkeys(above, "max") | {"memory.zswap.current": "0"}), Level("/t", above), HOST
        found = effective(levels)
        assert found["memory.swap.high"] == Bound(500, "/t", "memory.swap.high")
        assert found["memory.zswap.max"] == Bound(400, "/t", "memory.zswap.max")
        assert headroom(levels)["memory.zswap.max"] == Room(300, 75.0, "/t")

    def test_a_limit_that_this_kernel_does_not_have_is_left_out(self) -> None:
        """Given a kernel without zswap's files, when one asks what binds, then nothing is said of them."""
        levels = Level("/a", {"memory.max": "max", "memory.swap.high": "max"}), HOST
        assert effective(levels).keys() == {"cpu.max", "cpuset.cpus", "memory.max", "memory.swap.high", "pids.max"}

    def test_headroom_counts_what_the_neighbours_use(self) -> None:
        ve = Level("/team/a", {"memory.max": "800", "memory.current": "100"})
        team = Level("/team", {"memory.max": "1000", "memory.current": "950"})
        assert headroom((ve, team, HOST))["memory.max"] == Room(50, 5.0, "/team")

    def test_headroom_is_never_negative(self) -> None:
        assert headroom((Level("/a", {"pids.max": "5", "pids.current": "9"}),))["pids.max"] == Room(0, 0.0, "/a")

    @given(st.lists(st.none() | st.integers(0, 2**62), min_size=1, max_size=6))
    def test_no_level_is_tighter_than_the_effective_one(self, limits: list[int | None]) -> None:
        levels = [Level(f"/{i}", {"memory.max": "max" if n is None else str(n)}) for i, n in enumerate(limits)]
        bound = effective(levels)["memory.max"]
        numbers = [n for n in limits if n is not None]
        assert bound.limit == (min(numbers) if numbers else MAX)
        assert bound.source == (f"/{limits.index(min(numbers))}" if numbers else "")


class TestLevels:
    def test_the_host_speaks_the_language_of_cgroups(self) -> None:
        files = {
            "/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 10 kB\nSwapFree: 10 kB\n",
            "/proc/sys/kernel/pid_max": "4194304\n",
            "/proc/sys/kernel/threads-max": "15000\n",
            "/proc/loadavg": "0.00 0.00 0.00 1/123 4567\n",
            "/sys/devices/system/cpu/online": "0-1\n",
        }
        assert host(files.get).texts == {
            "memory.max": "1024000",
            "memory.current": "614400",
            "memory.swap.max": "10240",
            "memory.swap.current": "0",
            "pids.max": "15000",
            "pids.current": "123",
            "cpuset.cpus.effective": "0-1",
        }

    def test_a_host_that_tells_nothing_binds_nothing(self) -> None:
        assert host(lambda path: None).texts == {}

    def test_the_way_goes_from_the_ve_to_the_host(self, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "t", tmp_path / "t" / "a"):
            cgroup_folder(folder, CORE)
        with Tree(opened(tmp_path, "/")) as tree:
            assert [level.path for level in way_up(tree, "/t/a", lambda path: None)] == ["/t/a", "/t", "/", "host"]

    def test_show_costs_linear_in_depth(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As many folders are opened at twice the depth as twice at the simple one."""
        names = [f"d{number}" for number in range(200)]
        for depth in range(201):
            cgroup_folder(tmp_path.joinpath(*names[:depth]), CORE)
        opens: list[str] = []
        really = os.open
        monkeypatch.setattr("os.open", lambda path, *rest, **more: opens.append(path) or really(path, *rest, **more))
        counts = []
        with Tree(opened(tmp_path, "/")) as tree:
            for depth in (100, 200):
                opens.clear()
                way_up(tree, "/" + "/".join(names[:depth]), lambda path: None)
                counts.append(sum(path.startswith("d") for path in opens))
        assert counts == [100, 200]


class TestLimits:
    def test_values_are_exact(self) -> None:
        texts = {
            "memory.max": "max\n",
            "memory.low": "0\n",
            "cpu.max": "max 100000\n",
            "cpuset.cpus": "3\n",
            "io.max": "8:0 rbps=1048576 wbps=max riops=max wiops=max\n",
            "io.weight": "default 100\n8:0 50\n",
            "hugetlb.2MB.max": "4194304\n",
        }
        assert values(texts) == {
            "memory.max": MAX,
            "memory.low": 0,
            "cpu.max": {"quota": MAX, "period": 100000},
            "cpuset.cpus": "3",
            "io.max": {"8:0": {"rbps": 1048576, "wbps": MAX, "riops": MAX, "wiops": MAX}},
            "io.weight": {"default": 100, "8:0": 50},
            "hugetlb.2MB.max": 4194304,
        }

    def test_only_what_was_set_is_shown(self) -> None:
        texts = {
            "memory.max": "max\n",
            "memory.low": "4096\n",
            "io.weight": "default 100\n8:0 50\n",
            "cpuset.cpus": "\n",
        }
        assert [(file.name, key, entry) for file, key, entry in changed(texts)] == [
            ("memory.low", "", "4096"),
            ("io.weight", "8:0", "50"),
        ]


class TestPopulation:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Iterator[Tree]:
        cgroup_folder(tmp_path, {"cgroup.procs": "1\n2\n"})
        cgroup_folder(tmp_path / "rctl-web1", WEB)
        cgroup_folder(tmp_path / "rctl-web1" / "inner", CORE | {"cgroup.procs": "12\n"})
        cgroup_folder(tmp_path / "rctl-db1", CORE | {"cgroup.events": "populated 0\n"})
        cgroup_folder(tmp_path / "system.slice", CORE)
        cgroup_folder(tmp_path / "system.slice" / "nginx.service", CORE | {"cgroup.procs": "20\n"})
        with Tree(opened(tmp_path, "/")) as tree:
            yield tree

    def test_processes_below_count(self, tree: Tree) -> None:
        with tree.open_ve("web1") as ve:
            assert processes(ve) == 3

    def test_foreign_cgroups_are_those_with_processes_that_are_not_managed(self, tree: Tree) -> None:
        assert [cgroup.path for cgroup in foreign(tree)] == ["/system.slice/nginx.service"]

    def test_any_name_that_somebody_gave_a_cgroup_is_shown_in_print(self, tree: Tree, tmp_path: Path) -> None:
        for name in (b"a\x1b[1mb", b"\xff\xfe"):
            cgroup_folder(tmp_path / os.fsdecode(name), CORE | {"cgroup.procs": "21\n"})
        found = foreign_rows(tree, lambda path: "nginx" not in path)
        assert [(row.name, row.path) for row in found] == [(r"/\udcff\udcfe",) * 2, (r"/a\x1b[1mb",) * 2]

    @pytest.fixture
    def tight(self) -> Iterator[None]:
        """Neither recursion nor descriptors for more than some 100 levels."""
        calls, files = sys.getrecursionlimit(), resource.getrlimit(resource.RLIMIT_NOFILE)
        sys.setrecursionlimit(len(inspect.stack()) + 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, files[1]))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        sys.setrecursionlimit(calls)

    def test_cgroups_may_lie_deeper_than_one_can_recurse_or_hold_open(
        self, tree: Tree, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        for depth in range(201):
            cgroup_folder(tmp_path / "deep" / "/".join("d" * depth), CORE)
        (tmp_path / "deep" / "/".join("d" * 200) / "cgroup.procs").write_text("30\n")
        request.getfixturevalue("tight")
        before = len(os.listdir("/proc/self/fd"))
        with tree.walk("/deep") as ve:
            assert (processes(ve), inside(ve)) == (1, [30])
        assert sorted(cgroup.path.count("/") for cgroup in foreign(tree)) == [2, 201]
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_cgroup_that_may_not_be_looked_into_is_left_out(self, tree: Tree, tmp_path: Path) -> None:
        cgroup_folder(tmp_path / "closed", {})
        cgroup_folder(tmp_path / "closed" / "in", CORE | {"cgroup.procs": "22\n"})
        assert [cgroup.path for cgroup in foreign(tree)] == ["/system.slice/nginx.service"]

    def test_a_row_tells_use_and_limit(self, tree: Tree) -> None:
        web = next(rows(tree, ["web1"]))
        assert web.cpu == 5.0
        assert (web.processes, web.cpus, web.memory_percent, web.pids_max, web.memory_pressure) == (
            3,
            1.5,
            50.0,
            MAX,
            1.5,
        )

    def test_a_row_tells_unknown_from_unlimited(self, tree: Tree) -> None:
        db = next(rows(tree, ["db1"]))
        assert (db.state, db.cpus, db.memory, db.memory_max, db.pids_max) == ("empty", None, None, None, None)

    def test_a_ve_that_went_is_left_out_unless_it_was_asked_for_by_name(self, tree: Tree) -> None:
        assert [row.name for row in rows(tree, ["web1", "gone"])] == ["web1"]
        for asked in ("gone", "/rctl-gone"):
            with pytest.raises(NotFoundError):
                list(rows(tree, ["gone"], named=[asked]))
