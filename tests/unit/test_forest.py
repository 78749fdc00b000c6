"""All cgroups of a tree, followed by change. Plain directories stand in for cgroups, a list for the kernel's word."""

from __future__ import annotations

import errno
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.forest import Forest, Node
from rctl.cgroupfs.open_files import Budget
from rctl.cgroupfs.watch import DirectoryChange, LostError, Watch
from rctl.errors import GoneError, KernelError


class Told:
    """A watch that says what a test has it say. ``most``: how many directories can be watched."""

    def __init__(self) -> None:
        self.said: list[DirectoryChange] = []
        self.lost = False
        self.most = 1000
        self.watched: dict[int, int] = {}

    def add(self, directory: int) -> int | None:
        if len(self.watched) >= self.most:
            return None
        number = 1 + max(self.watched, default=0)
        self.watched[number] = directory
        return number

    def remove(self, watch: int) -> None:
        del self.watched[watch]

    def changes(self) -> Iterator[DirectoryChange]:
        said, self.said = self.said, []
        yield from said
        if self.lost:
            self.lost = False
            raise LostError

    def close(self) -> None:
        self.watched.clear()

    def moved(self, node: Node, name: str) -> None:
        """A cgroup was made or removed below the node."""
        assert node.watch is not None
        self.said.append(DirectoryChange(node.watch, name, True))

    def written(self, node: Node, name: str) -> None:
        """Somebody wrote to a file of the node."""
        assert node.watch is not None
        self.said.append(DirectoryChange(node.watch, name, False))


def make(place: Path, *paths: str) -> None:
    for path in ("", *paths):
        (place / path).mkdir(parents=True, exist_ok=True)
    for folder in [place, *(found for found in place.rglob("*") if found.is_dir())]:
        (folder / "cgroup.procs").touch()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make(tmp_path, "a/x", "a/y", "b", "rctl-web1/inner")
    return tmp_path


@pytest.fixture
def told() -> Told:
    return Told()


Grow = Callable[..., Forest]


@pytest.fixture
def grow(place: Path, told: Told) -> Iterator[Grow]:
    forests = []
    with Cgroup("/", os.open(place, os.O_RDONLY)) as root:

        def grown(watch: bool, budget: Budget | None = None) -> Forest:
            forest = Forest(root, lambda path: "rctl-" not in path, cast("Watch", told) if watch else None, budget)
            forests.append(forest)
            return forest

        yield grown
        for forest in forests:
            forest.close()


def paths(forest: Forest) -> list[str]:
    return [node.cgroup.path for node in forest.root.below()]


def at(forest: Forest, path: str) -> Node:
    return next(node for node in forest.root.below() if node.cgroup.path == path)


def descriptors() -> int:
    gc.collect()  # what other tests left behind must not be closed between two counts
    return len(os.listdir("/proc/self/fd"))


BOTH = pytest.mark.parametrize("watch", [True, False], ids=["told", "looking"])
ALL = ["/", "/a", "/a/x", "/a/y", "/b", "/rctl-web1"]


class TestFinding:
    @BOTH
    def test_all_are_found_but_what_lies_below_those_not_entered(self, grow: Grow, watch: bool) -> None:
        forest = grow(watch)
        assert (paths(forest), forest.size) == (ALL, len(ALL))

    @BOTH
    def test_nothing_changes_as_long_as_nothing_is_said(self, grow: Grow, watch: bool) -> None:
        forest = grow(watch)
        before = (forest.generation, list(forest.root.below()))
        forest.refresh()
        assert (forest.generation, list(forest.root.below())) == before

    @BOTH
    def test_what_was_made_is_found_with_all_below(self, grow: Grow, watch: bool, place: Path, told: Told) -> None:
        forest = grow(watch)
        before = forest.generation
        make(place, "c/d/e")
        if watch:
            told.moved(forest.root, "c")
        forest.refresh()
        assert paths(forest) == [*ALL[:5], "/c", "/c/d", "/c/d/e", "/rctl-web1"]
        assert forest.generation != before

    @BOTH
    def test_what_was_removed_is_let_go_of_with_all_below(
        self, grow: Grow, watch: bool, place: Path, told: Told
    ) -> None:
        forest = grow(watch)
        open_, watched, gone = descriptors(), len(told.watched), at(forest, "/a/x")
        shutil.rmtree(place / "a")
        if watch:
            told.moved(forest.root, "a")
        forest.refresh()
        assert (paths(forest), forest.size) == (["/", "/b", "/rctl-web1"], 3)
        assert (descriptors(), gone.cgroup.fd) == (open_ - 3, -1)
        assert len(told.watched) == (watched - 3 if watch else 0)

    @BOTH
    def test_one_made_again_under_its_name_is_another(self, grow: Grow, watch: bool, place: Path, told: Told) -> None:
        forest = grow(watch)
        before, generation = at(forest, "/b"), forest.generation
        (place / "b").rename(place.parent / f"{place.name}-old")  # so that its inode is not given out again
        make(place, "b")
        if watch:
            told.moved(forest.root, "b")
            told.moved(forest.root, "b")
        forest.refresh()
        assert at(forest, "/b") is not before
        assert forest.generation != generation

    @BOTH
    def test_whether_there_is_one_below_is_known_of_those_not_entered_too(
        self, grow: Grow, watch: bool, place: Path, told: Told
    ) -> None:
        forest = grow(watch)
        web = at(forest, "/rctl-web1")
        assert (web.leaf, at(forest, "/b").leaf) == (False, True)
        shutil.rmtree(place / "rctl-web1" / "inner")
        if watch:
            told.moved(web, "inner")
        forest.refresh()
        assert web.leaf

    @BOTH
    def test_those_with_none_below_are_not_listed(
        self, grow: Grow, watch: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed: list[str] = []
        inodes = Cgroup.inodes

        def noting(self: Cgroup) -> dict[str, int]:
            listed.append(self.path)
            return inodes(self)

        monkeypatch.setattr(Cgroup, "inodes", noting)
        grow(watch)
        assert sorted(listed) == ["/", "/a"]

    def test_the_way_up(self, grow: Grow) -> None:
        assert [node.cgroup.path for node in at(grow(True), "/a/x").way_up()] == ["/a/x", "/a", "/"]

    @BOTH
    def test_nests_of_any_depth(self, grow: Grow, watch: bool, place: Path, told: Told) -> None:
        forest = grow(watch)
        depth = 600
        here = os.open(place / "b", os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("n", dir_fd=here)
            below = os.open("n", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        if watch:
            told.moved(at(forest, "/b"), "n")
        forest.refresh()
        assert forest.size == len(ALL) + depth
        forest.close()
        assert forest.size == 1

    @BOTH
    def test_nothing_stays_open_in_the_end(self, grow: Grow, watch: bool) -> None:
        before = descriptors()
        forest = grow(watch)
        forest.close()
        assert descriptors() == before


class TestWord:
    def test_a_limit_counts_for_its_cgroup_alone(self, grow: Grow, told: Told) -> None:
        forest = grow(True)
        a, x = at(forest, "/a"), at(forest, "/a/x")
        before = (a.limits, x.limits, x.files, forest.limits, forest.cpusets)
        told.written(a, "memory.max")
        forest.refresh()
        assert (a.limits, x.limits, x.files, forest.limits, forest.cpusets) == (
            before[0] + 1, before[1], before[2], before[3] + 1, before[4],
        )  # fmt: skip

    @pytest.mark.parametrize(
        "name", ["memory.events", "cgroup.procs", "memory.reclaim", "memory.pressure", "memory.peak", "cgroup.events"]
    )
    def test_what_is_no_limit_changes_nothing(self, grow: Grow, told: Told, name: str) -> None:
        forest = grow(True)
        a = at(forest, "/a")
        before = (a.limits, a.files, forest.limits)
        told.written(a, name)
        forest.refresh()
        assert (a.limits, a.files, forest.limits) == before

    @pytest.mark.parametrize(
        "name", ["cgroup.events", "memory.events", "memory.events.local", "memory.swap.events", "hugetlb.2MB.events"]
    )
    def test_what_the_kernel_counts_is_told_of_its_cgroup_alone(self, grow: Grow, told: Told, name: str) -> None:
        forest = grow(True)
        a, x = at(forest, "/a"), at(forest, "/a/x")
        before = (a.events, x.events)
        told.written(a, name)
        forest.refresh()
        assert (a.events, x.events) == (before[0] + 1, before[1])

    @pytest.mark.parametrize(
        "name", ["cgroup.freeze", "cpu.weight.nice", "io.max", "hugetlb.2MB.max", "cgroup.pressure"]
    )
    def test_what_is_one_counts(self, grow: Grow, told: Told, name: str) -> None:
        forest = grow(True)
        a = at(forest, "/a")
        before = (a.limits, forest.limits)
        told.written(a, name)
        forest.refresh()
        assert (a.limits, forest.limits) == (before[0] + 1, before[1] + 1)

    def test_controllers_change_the_files_of_those_below(self, grow: Grow, told: Told) -> None:
        forest = grow(True)
        a, x, b = at(forest, "/a"), at(forest, "/a/x"), at(forest, "/b")
        before = (a.files, x.files, b.files)
        told.written(a, "cgroup.subtree_control")
        forest.refresh()
        assert (a.files, x.files, b.files) == (before[0], before[1] + 1, before[2])

    @pytest.mark.parametrize("name", ["cgroup.pressure", "cgroup.type"])
    def test_a_switch_changes_which_files_there_are(self, grow: Grow, told: Told, name: str) -> None:
        forest = grow(True)
        a = at(forest, "/a")
        before = a.files
        told.written(a, name)
        forest.refresh()
        assert a.files == before + 1

    def test_a_list_of_cpus_counts_for_all(self, grow: Grow, told: Told) -> None:
        forest = grow(True)
        before = forest.cpusets
        told.written(at(forest, "/a"), "cpuset.cpus")
        forest.refresh()
        assert forest.cpusets == before + 1

    def test_word_of_what_has_gone_meanwhile_is_no_harm(self, grow: Grow, place: Path, told: Told) -> None:
        forest = grow(True)
        x = at(forest, "/a/x")
        shutil.rmtree(place / "a")
        told.moved(forest.root, "a")
        told.moved(x, "z")
        told.written(x, "memory.max")
        forest.refresh()
        told.said.append(DirectoryChange(9999, "y", True))
        forest.refresh()
        assert paths(forest) == ["/", "/b", "/rctl-web1"]

    def test_lost_word_makes_it_look_everywhere(self, grow: Grow, place: Path, told: Told) -> None:
        forest = grow(True)
        before = at(forest, "/a/x").limits
        make(place, "a/x/new", "c")
        told.lost = True
        forest.refresh()
        assert paths(forest) == ["/", "/a", "/a/x", "/a/x/new", "/a/y", "/b", "/c", "/rctl-web1"]
        assert at(forest, "/a/x").limits > before

    def test_what_cannot_be_watched_is_looked_at_each_time(self, place: Path, told: Told, grow: Grow) -> None:
        told.most = 2
        forest = grow(True)
        assert paths(forest) == ALL
        make(place, "a/x/new", "b/new")
        for node in forest.root.below():
            if node.watch is not None:
                told.moved(node, "new")
        forest.refresh()
        assert {"/a/x/new", "/b/new"} <= set(paths(forest))


class TestMoreCgroupsThanDescriptors:
    @BOTH
    @pytest.mark.parametrize("total", [0, 1, 3])
    def test_all_are_found_and_read_with_one_descriptor_beyond_the_budget(
        self, grow: Grow, watch: bool, total: int, place: Path
    ) -> None:
        for number, path in enumerate(ALL[1:]):
            (place / path[1:] / "pids.current").write_text(f"{number}\n")
        before = descriptors()
        forest = grow(watch, Budget(0, total))
        assert paths(forest) == ALL
        for _ in range(2):
            found = [node.cgroup.read("pids.current") for node in forest.root.below() if node.parent]
            assert found == [f"{number}\n" for number in range(len(ALL) - 1)]
            assert descriptors() - before <= total + 1

    def test_what_came_beyond_the_budget_is_held_when_others_have_gone(
        self, grow: Grow, place: Path, told: Told
    ) -> None:
        budget = Budget(0, 5)
        forest = grow(True, budget)
        assert budget.held == 5
        make(place, "y", "z")
        told.moved(forest.root, "z")
        forest.refresh()
        late = [at(forest, path).cgroup for path in ("/y", "/z")]
        assert ([cgroup.files() for cgroup in late], budget.held) == ([["cgroup.procs"]] * 2, 5)
        shutil.rmtree(place / "a")
        told.moved(forest.root, "a")
        forest.refresh()
        for _ in range(2):
            assert [cgroup.files() for cgroup in late] == [["cgroup.procs"]] * 2
        assert (budget.held, budget.guest) == (3, late[1])

    @BOTH
    def test_one_made_again_under_its_name_is_not_taken_for_it(self, grow: Grow, watch: bool, place: Path) -> None:
        forest = grow(watch, Budget(0, 0))
        x = at(forest, "/a/x").cgroup
        (place / "a" / "x").rename(place.parent / f"{place.name}-x")
        make(place, "a/x")
        at(forest, "/b").cgroup.files()  # in place of it, should it still be open
        with pytest.raises(GoneError):
            x.read("cgroup.procs")
        assert (x.alive(), at(forest, "/b").cgroup.alive()) == (False, True)

    def test_descriptors_that_run_out_are_told_not_taken_for_a_removal(
        self, grow: Grow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forest = grow(True, Budget(0, 0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", _no_more)
            with pytest.raises(KernelError, match=r"^pids.max: cannot read on /a/x: EMFILE: .*Raise its limit"):
                at(forest, "/a/x").cgroup.read("pids.max")
            assert at(forest, "/a/x").cgroup.alive()

    def test_what_is_mounted_over_a_cgroup_is_left_out_and_not_held(self, place: Path, told: Told) -> None:
        with Cgroup("/", os.open(place, os.O_RDONLY), device=os.stat(place).st_dev) as root:
            budget = Budget(0, 100)
            forest = Forest(root, lambda _: True, cast("Watch", told), budget)
            before, held = descriptors(), budget.held
            root.device = 1  # as if what is found from now on were of another file system
            make(place, "z")
            told.moved(forest.root, "z")
            forest.refresh()
            assert "/z" not in paths(forest)
            assert (descriptors(), budget.held) == (before, held)
            assert at(forest, "/a").cgroup.device == os.stat(place).st_dev
            forest.close()

    @BOTH
    def test_nothing_stays_open_in_the_end_either(self, grow: Grow, watch: bool) -> None:
        before, budget = descriptors(), Budget(0, 2)
        forest = grow(watch, budget)
        assert [node.cgroup.files() for node in forest.root.below()]
        forest.close()
        assert (descriptors(), budget.held, budget.guest) == (before, 0, None)


def _no_more(*_: object, **__: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class TestFailing:
    def test_a_listing_that_fails_loses_nothing_and_is_tried_again(
        self, grow: Grow, place: Path, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forest = grow(True)
        make(place, "c")
        told.moved(forest.root, "c")
        with monkeypatch.context() as patch:
            patch.setattr(Cgroup, "inodes", _too_many)
            forest.refresh()
            assert (paths(forest), len(forest.failed)) == (ALL, 1)
        forest.refresh()
        assert ("/c" in paths(forest), forest.failed) == (True, [])

    def test_a_cgroup_that_cannot_be_opened_is_told_and_tried_again(
        self, grow: Grow, place: Path, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forest = grow(True)
        make(place, "c")
        told.moved(forest.root, "c")
        with monkeypatch.context() as patch:
            patch.setattr(Cgroup, "child", _too_many)
            for _ in range(3):
                forest.refresh()
                assert (paths(forest), len(forest.failed)) == (ALL, 1)
        forest.refresh()
        assert ("/c" in paths(forest), forest.failed) == (True, [])


def _too_many(cgroup: Cgroup, name: str = "") -> dict[str, int]:
    raise KernelError(cgroup.path, name, "", errno.EMFILE)


def test_watching_starts_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own way to find libc is to run ldconfig."""
    import inotify_simple

    monkeypatch.setattr(inotify_simple, "_libc", None)
    monkeypatch.setattr(inotify_simple, "find_library", lambda _: pytest.fail("it looks for libc"))
    Watch().close()
