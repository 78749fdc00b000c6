"""One reading of many VEs. Plain directories stand in for cgroups."""

from __future__ import annotations

import errno
import gc
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from pathlib import Path

import pytest

from rctl.cgroupfs import changed_counts
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.changed_counts import MOST
from rctl.cgroupfs.forest import Forest
from rctl.cgroupfs.open_files import Budget, Kept, Together
from rctl.cgroupfs.watch import Watch
from rctl.errors import KernelError
from rctl.sample.limits_in_force import Standings
from rctl.sample.member import Ask
from rctl.sample.sweep import Sweep

FILES = ("cpu.stat", "pids.current", "pids.peak", "io.stat")


def _parts(there: Sequence[str]) -> list[list[str]]:
    apart = [[name for name in FILES[:3] if name in there], [name for name in FILES[3:] if name in there]]
    return [part for part in apart if part]


ASK = Ask(_parts, lambda _: True, limits=lambda _: ("pids.max",), processes=True)


def put(place: Path, path: str, **files: str) -> None:
    folder = place / path
    folder.mkdir(parents=True, exist_ok=True)
    for above in [folder, *folder.relative_to(place).parents]:
        (place / above / "cgroup.procs").touch()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        put(tmp_path, name, pids_current=f"{number}\n", io_stat=f"8:0 rbytes={number}\n", memory_max=f"{number}\n")
    return tmp_path


@pytest.fixture
def root(place: Path) -> Iterator[Cgroup]:
    with Cgroup("/", os.open(place, os.O_RDONLY)) as found:
        yield found


@pytest.fixture
def forest(root: Cgroup) -> Iterator[Forest]:
    found = Forest(root, lambda _: True, None)
    yield found
    found.close()


@pytest.fixture(params=[0, 5, 1000], ids=lambda most: f"budget-{most}")
def budget(request: pytest.FixtureRequest) -> Budget:
    return Budget(request.param)


@pytest.fixture
def sweep(forest: Forest, budget: Budget) -> Iterator[Sweep]:
    found = Sweep(forest, lambda path: (path, ASK) if path != "/" else None, budget)
    yield found
    found.close()


def read(sweep: Sweep) -> dict[str, dict[str, str]]:
    """Every figure by VE."""
    sweep.find()
    return taken(sweep)


def taken(sweep: Sweep) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for layout, members, rows in sweep.take():
        for member, row in zip(members, rows, strict=True):
            for column, value in zip(layout.columns, row, strict=True):
                name = " ".join(filter(None, column))
                assert name not in found.setdefault(member.name, {})
                found[member.name][name] = value.decode()
    return found


FIRST = {f"/{name}": {"pids.current": str(n), "io.stat 8:0 rbytes": str(n)} for n, name in enumerate("abc")}


def descriptors() -> int:
    gc.collect()  # what other tests left behind must not be closed between two counts
    return len(os.listdir("/proc/self/fd"))


class TestReading:
    def test_every_figure_of_every_ve(self, sweep: Sweep) -> None:
        assert read(sweep) == FIRST

    def test_again_and_again(self, sweep: Sweep, place: Path) -> None:
        for number in (1, 1, 22, 333, 4, 10**18):
            put(place, "b", pids_current=f"{number}\n")
            assert read(sweep) == FIRST | {"/b": FIRST["/b"] | {"pids.current": str(number)}}

    def test_ves_whose_figures_stand_alike_are_read_as_one_group(self, sweep: Sweep) -> None:
        sweep.find()
        assert [len(group.members) for group in sweep.take()] == [3, 3]

    def test_a_device_more_or_less(self, sweep: Sweep, place: Path) -> None:
        read(sweep)
        put(place, "a", io_stat="8:0 rbytes=1\n8:16 rbytes=7\n")
        assert read(sweep)["/a"] == {"pids.current": "0", "io.stat 8:0 rbytes": "1", "io.stat 8:16 rbytes": "7"}
        put(place, "a", io_stat="")
        assert read(sweep)["/a"] == {"pids.current": "0"}

    def test_files_that_hold_the_same_text_are_not_taken_for_one_another(self, sweep: Sweep, place: Path) -> None:
        (place / "b" / "pids.current").unlink()
        put(place, "b", pids_peak="9\n")
        assert read(sweep) == FIRST | {"/b": {"pids.peak": "9", "io.stat 8:0 rbytes": "1"}}

    def test_no_figure_at_all(self, sweep: Sweep, place: Path) -> None:
        put(place, "d")
        assert read(sweep) == FIRST
        assert len(sweep.members) == 4


class TestComingAndGoing:
    def test_a_ve_that_comes(self, sweep: Sweep, place: Path) -> None:
        before = read(sweep)
        put(place, "aa", pids_current="5\n")
        assert read(sweep) == before | {"/aa": {"pids.current": "5"}}
        assert [member.name for member in sweep.members] == ["/a", "/aa", "/b", "/c"]

    def test_a_ve_that_goes(self, sweep: Sweep, place: Path) -> None:
        read(sweep)
        shutil.rmtree(place / "b")
        assert set(read(sweep)) == {"/a", "/c"}
        assert (sweep.gone, sweep.unread) == (set(), [])

    def test_a_ve_that_goes_in_the_middle_of_a_reading(self, sweep: Sweep, place: Path) -> None:
        read(sweep)
        sweep.find()
        shutil.rmtree(place / "b")
        taken(sweep)
        found = taken(sweep)
        assert {"/a", "/c"} <= set(found)
        assert {name: figures for name, figures in found.items() if name != "/b"} == {
            name: FIRST[name] for name in ("/a", "/c")
        }

    def test_a_ve_that_goes_after_a_part_of_it_was_read_is_left_out_as_a_whole(
        self, sweep: Sweep, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweep.find()
        each = Kept.each

        def each_before_it_goes(kept: Kept) -> tuple[dict[str, bytes], list[OSError]]:
            if kept.names == ("io.stat",) and kept._cgroup.path == "/b":
                shutil.rmtree(place / "b")
            return each(kept)

        monkeypatch.setattr(Kept, "each", each_before_it_goes)
        assert set(taken(sweep)) == {"/a", "/c"}
        assert [member.name for member in sweep.gone] == ["/b"]

    def test_thousands_that_come_and_go_leave_nothing_behind(self, sweep: Sweep, place: Path, budget: Budget) -> None:
        read(sweep)
        before = (descriptors(), budget.kept)
        for number in range(300):
            put(place, f"x{number}", io_stat=f"8:{number} rbytes=1\n")
            assert f"/x{number}" in read(sweep)
            shutil.rmtree(place / f"x{number}")
        read(sweep)
        assert descriptors() - budget.kept == before[0] - before[1]
        assert len(sweep._layouts) < 30

    def test_nothing_stays_open_in_the_end(self, sweep: Sweep, budget: Budget) -> None:
        before = descriptors()
        read(sweep)
        sweep.close()
        assert (descriptors(), budget.kept) == (before, 0)

    def test_the_members_are_the_same_object_until_one_comes(self, sweep: Sweep, place: Path) -> None:
        read(sweep)
        before = sweep.members
        read(sweep)
        assert sweep.members is before
        put(place, "d")
        read(sweep)
        assert sweep.members is not before
        assert sweep.members[0] is before[0]


class TestErrors:
    def test_a_file_that_cannot_be_read_is_counted_until_it_can(self, sweep: Sweep, place: Path) -> None:
        (place / "b" / "pids.current").unlink()
        (place / "b" / "pids.current").symlink_to("nowhere")
        for _ in range(3):
            assert read(sweep) == FIRST | {"/b": {"io.stat 8:0 rbytes": "1"}}
            assert len(sweep.unread) == 1
        (place / "b" / "pids.current").unlink()
        put(place, "b", pids_current="1\n")
        assert read(sweep) == FIRST
        assert sweep.unread == []

    def test_a_file_that_fails_once_comes_back_by_itself(
        self, place: Path, root: Cgroup, budget: Budget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forest = Forest(root, lambda _: True, None)
        monkeypatch.setattr(Forest, "refresh", lambda _: None)  # nobody says that anything changed
        sweep = Sweep(forest, lambda path: (path, ASK) if path != "/" else None, budget)
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", _failing("pids.current", os.open))
            assert read(sweep) == {name: {"io.stat 8:0 rbytes": FIRST[name]["io.stat 8:0 rbytes"]} for name in FIRST}
            assert [path for path, _ in sweep.unread] == list(FIRST)
        assert (read(sweep), sweep.unread) == (FIRST, [])
        sweep.close()
        forest.close()

    def test_a_cgroup_that_cannot_be_listed_is_counted(self, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
        sweep.find()
        with monkeypatch.context() as patch:
            patch.setattr(Cgroup, "files", _unlistable)
            assert (taken(sweep), len(sweep.unread)) == ({}, 3)
        assert (read(sweep), sweep.unread) == (FIRST, [])


def _failing(file: str, real: Callable[..., int]) -> Callable[..., int]:
    def opened(name: str, *args: int, **more: int) -> int:
        if name == file:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(name, *args, **more)

    return opened


def _unlistable(cgroup: Cgroup) -> list[str]:
    raise KernelError(cgroup.path, "", "", errno.EMFILE)


class TestProcesses:
    def test_of_a_leaf_and_of_one_with_others_below(self, sweep: Sweep, place: Path) -> None:
        put(place, "a", cgroup_procs="1\n2\n")
        put(place, "b/below", cgroup_procs="3\n4\n5\n")
        read(sweep)
        found = {member.name: number for member, number in sweep.processes().items()}
        assert found == {"/a": 2, "/b": 3, "/b/below": 3, "/c": 0}

    def test_each_cgroup_is_counted_once_for_all_above_it(
        self, sweep: Sweep, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in ("a/b/c/d", "a/b/e", "a/f"):
            put(place, path, cgroup_procs="1\n")
        read(sweep)
        opened = []
        real = os.pread
        monkeypatch.setattr(os, "pread", lambda fd, *args: (opened.append(fd), real(fd, *args))[1])
        found = {member.name: number for member, number in sweep.processes().items()}
        assert found == {"/a": 3, "/a/b": 2, "/a/b/c": 1, "/a/b/c/d": 1, "/a/b/e": 1, "/a/f": 1, "/b": 0, "/c": 0}
        assert len(opened) == len(found)

    def test_of_one_with_others_below_that_are_not_shown(self, forest: Forest, place: Path) -> None:
        put(place, "a/b/c", cgroup_procs="1\n")
        put(place, "a/b", cgroup_procs="2\n")
        sweep = Sweep(forest, lambda path: (path, ASK) if path in ("/a", "/a/b/c") else None, Budget(0))
        read(sweep)
        assert {member.name: number for member, number in sweep.processes().items()} == {"/a": 2, "/a/b/c": 1}
        sweep.close()

    def test_what_cannot_be_counted_is_left_out_and_told(
        self, sweep: Sweep, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(place, "a/x", cgroup_procs="1\n")
        read(sweep)
        real = Kept.lines

        def lines(kept: Kept) -> int | None:
            if kept._cgroup.path == "/a/x":
                raise KernelError("/a/x", "cgroup.procs", "", errno.EMFILE)
            return real(kept)

        monkeypatch.setattr(Kept, "lines", lines)
        monkeypatch.setattr(Cgroup, "read", lambda cgroup, name: _unlistable(cgroup))
        assert {member.name for member in sweep.processes()} == {"/b", "/c"}
        assert [path for path, _ in sweep.uncounted] == ["/a/x", "/a"]

    def test_of_one_that_went_nothing_is_said(self, sweep: Sweep, place: Path) -> None:
        read(sweep)
        shutil.rmtree(place / "b")
        read(sweep)
        assert {member.name for member in sweep.processes()} == {"/a", "/c"}


class TestStanding:
    @pytest.fixture
    def standings(self, forest: Forest) -> Standings:
        host = {"/proc/meminfo": "MemTotal: 8 kB\nMemAvailable: 4 kB\n", "/sys/devices/system/cpu/online": "0-3\n"}
        return Standings(forest, host.get)

    def test_the_limits_and_what_binds(self, sweep: Sweep, standings: Standings) -> None:
        read(sweep)
        found = {member.name: standing for member, standing in standings.refresh(sweep.members).items()}
        assert {name: standing.limits["memory.max"] for name, standing in found.items()} == {
            "/a": "0\n", "/b": "1\n", "/c": "2\n",
        }  # fmt: skip
        assert (found["/b"].bounds["memory.max"].limit, found["/b"].bounds["memory.max"].source) == (1, "/b")

    def test_those_that_the_same_binds_share_it_and_others_have_their_own(
        self, sweep: Sweep, standings: Standings, place: Path
    ) -> None:
        for name, limit in (("a", "max"), ("b", "max"), ("c", "4096")):
            put(place, name, memory_max=f"{limit}\n")
        read(sweep)
        found = {member.name: standing.bounds for member, standing in standings.refresh(sweep.members).items()}
        assert found["/a"] is found["/b"]
        assert {name: (bounds["memory.max"].limit, bounds["memory.max"].source) for name, bounds in found.items()} == {
            "/a": (8192, "host"), "/b": (8192, "host"), "/c": (4096, "/c"),
        }  # fmt: skip
        put(place, "c", memory_max="2048\n")
        put(place, "a", memory_max="2048\n")
        read(sweep)
        found = {member.name: standing.bounds for member, standing in standings.refresh(sweep.members).items()}
        assert [found[name]["memory.max"].source for name in ("/a", "/b", "/c")] == ["/a", "host", "/c"]

    def test_a_limit_that_changed(self, sweep: Sweep, standings: Standings, place: Path) -> None:
        read(sweep)
        standings.refresh(sweep.members)
        put(place, "b", memory_max="max\n")
        read(sweep)
        found = {member.name: standing for member, standing in standings.refresh(sweep.members).items()}
        assert found["/b"].limits["memory.max"] == "max\n"
        assert (found["/b"].bounds["memory.max"].limit, found["/b"].bounds["memory.max"].source) == (8192, "host")

    def test_no_more_is_read_than_is_asked_for_or_binds(self, sweep: Sweep, forest: Forest, place: Path) -> None:
        for name in ("pids_max", "pids_high", "memory_high", "cpu_weight", "cpu_max"):
            put(place, "b", **{name: "max\n"})
        standings = Standings(forest, {}.get)
        read(sweep)
        found = {member.name: standing for member, standing in standings.refresh(sweep.members).items()}
        assert set(found["/b"].limits) == {"pids.max", "memory.max", "cpu.max"}

    def test_what_rctl_set_is_read_too_from_when_it_is_known(self, sweep: Sweep, forest: Forest, place: Path) -> None:
        put(place, "b", memory_high="5\n", cpu_weight="100\n")
        read(sweep)
        inode, more = (place / "b").stat().st_ino, dict[int, frozenset[str]]()
        standings = Standings(forest, {}.get, lambda ino: more.get(ino, frozenset()))
        assert not any("memory.high" in standing.limits for standing in standings.refresh(sweep.members, 1).values())
        more[inode] = frozenset({"memory.high", "cgroup.procs"})
        found = {member.name: standing for member, standing in standings.refresh(sweep.members, 2).items()}
        assert found["/b"].limits == {"memory.max": "1\n", "memory.high": "5\n"}
        assert set(found["/a"].limits) == {"memory.max"}

    def test_as_long_as_nothing_changed_it_is_the_same(
        self, sweep: Sweep, standings: Standings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read(sweep)
        before = standings.refresh(sweep.members)
        monkeypatch.setattr(Cgroup, "read", _unlistable)
        assert standings.refresh(sweep.members) is before

    def test_limits_that_cannot_be_read_are_counted_and_tried_again(
        self, sweep: Sweep, standings: Standings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read(sweep)
        with monkeypatch.context() as patch:
            patch.setattr(Cgroup, "files", _unlistable)
            assert (standings.refresh(sweep.members), len(standings.failed)) == ({}, 3)
        assert (len(standings.refresh(sweep.members)), standings.failed) == (3, [])

    def test_one_that_has_gone_is_no_failure(self, sweep: Sweep, standings: Standings, place: Path) -> None:
        read(sweep)
        shutil.rmtree(place / "b")
        assert {member.name for member in standings.refresh(sweep.members)} == {"/a", "/c"}
        assert standings.failed == []


class TestCountsThatAreReported:
    """A plain file that is written stands in for a count that the kernel reports: the same word comes."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        for name in "ab":
            put(tmp_path, name, memory_current="1\n", memory_events="max 0\n")
        return tmp_path

    @pytest.fixture
    def sweep(self, root: Cgroup) -> Iterator[Sweep]:
        forest = Forest(root, lambda _: True, Watch())
        ask = ASK._replace(files=lambda there: [[name] for name in there if name.startswith("memory.")], limits=None)
        found = Sweep(forest, lambda path: (path, ask) if path != "/" else None, Budget(1000))
        yield found
        found.close()
        forest.close()

    def test_the_next_reading_has_them(self, sweep: Sweep, place: Path) -> None:
        assert read(sweep)["/a"] == {"memory.current": "1", "memory.events max": "0"}
        for number in "123":
            put(place, "a", memory_events=f"max {number}\n")
            assert {name: one["memory.events max"] for name, one in read(sweep).items()} == {"/a": number, "/b": "0"}

    def test_they_are_not_read_otherwise(self, sweep: Sweep, place: Path) -> None:
        read(sweep)
        read(sweep)  # from now on they are held
        opened: list[object] = []
        really = os.open

        def noting(name: object, *args: int, **options: int) -> int:
            opened.append(name)
            return really(name, *args, **options)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", noting)
            for _ in range(MOST):
                read(sweep)
        assert opened.count("memory.events") <= 2 * 2  # once each all the same: its inode is held, it is read

    def test_a_file_that_went_has_the_others_read_again(
        self, sweep: Sweep, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both come with a controller, which may have gone and come back without a word."""
        monkeypatch.setattr(changed_counts, "_TURNS", repeat(1000))
        read(sweep)
        read(sweep)
        put(place, "a", memory_events="max 7\n")
        assert taken(sweep)["/a"]["memory.events max"] == "0"
        really = Kept.read

        def gone(self: Kept) -> bytes:
            if self.names == ("memory.current",):
                raise OSError(errno.ENODEV, "No such device")
            return really(self)

        def one_gone(self: Together) -> Iterator[bytes]:
            raise OSError(errno.ENODEV, "No such device")

        with monkeypatch.context() as patch:
            patch.setattr(Kept, "read", gone)
            patch.setattr(Together, "read", one_gone)
            taken(sweep)
        assert taken(sweep)["/a"]["memory.events max"] == "7"
