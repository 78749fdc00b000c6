"""Files that stay open between readings, under a budget. Plain files stand in for the kernel's."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.open_files import Budget, Kept, Together, room
from rctl.errors import GoneError, UsageError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in (("cgroup.procs", "1\n2\n"), ("pids.current", "2\n"), ("memory.current", "4096\n")):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def cgroup(place: Path) -> Iterator[Cgroup]:
    with Cgroup("/ve", os.open(place, os.O_RDONLY)) as found:
        yield found


def descriptors() -> int:
    gc.collect()  # what other tests left behind must not be closed between two counts
    return len(os.listdir("/proc/self/fd"))


NAMES = ("pids.current", "memory.current")


@pytest.mark.parametrize("most", [0, 1, 2, 1000])
class TestWhateverTheBudget:
    def test_all_texts_one_after_the_other(self, cgroup: Cgroup, place: Path, most: int) -> None:
        kept = Kept(cgroup, NAMES, Budget(most))
        assert kept.each() == ({"pids.current": b"2\n", "memory.current": b"4096\n"}, [])
        assert kept.read() == b"2\n4096\n"
        (place / "pids.current").write_text("3\n")
        assert kept.read() == b"3\n4096\n"
        kept.close()

    def test_what_is_not_there_is_left_out(self, cgroup: Cgroup, most: int) -> None:
        kept = Kept(cgroup, ("cpu.stat", *NAMES, "io.stat"), Budget(most))
        assert kept.each() == ({"pids.current": b"2\n", "memory.current": b"4096\n"}, [])
        assert (kept.names, kept.read()) == (NAMES, b"2\n4096\n")
        kept.close()

    def test_what_cannot_be_read_is_told(self, cgroup: Cgroup, place: Path, most: int) -> None:
        (place / "loop").symlink_to("loop")
        texts, errors = (kept := Kept(cgroup, ("loop", *NAMES), Budget(most))).each()
        assert (list(texts), [error.errno for error in errors]) == (list(NAMES), [errno.ELOOP])
        kept.close()

    def test_a_cgroup_that_has_gone(self, cgroup: Cgroup, place: Path, most: int) -> None:
        budget = Budget(most)
        kept = Kept(cgroup, NAMES, budget)
        kept.each()
        before = descriptors() - budget.kept
        for name in ("cgroup.procs", *NAMES):
            (place / name).unlink()
        with pytest.raises(GoneError):
            kept.each()
        assert (budget.kept, descriptors()) == (0, before)

    def test_a_file_that_grew_is_never_taken_for_whole(self, cgroup: Cgroup, place: Path, most: int) -> None:
        kept = Kept(cgroup, ("pids.current",), Budget(most))
        kept.each()
        (place / "pids.current").write_text("x" * 100_000 + "\n")
        text = kept.read()
        assert text == b"x" * 100_000 + b"\n" or not text.endswith(b"\n")
        assert kept.each()[0] == {"pids.current": b"x" * 100_000 + b"\n"}
        assert kept.read() == b"x" * 100_000 + b"\n"
        kept.close()

    def test_lines_are_counted(self, cgroup: Cgroup, place: Path, most: int) -> None:
        kept = Kept(cgroup, ("cgroup.procs",), Budget(most))
        kept.each()
        for number in (0, 1, 7, 400, 10_000):
            (place / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in range(number)))
            assert kept.lines() == number
        kept.close()

    def test_nothing_stays_open_in_the_end(self, cgroup: Cgroup, most: int) -> None:
        before, budget = descriptors(), Budget(most)
        kept = Kept(cgroup, ("cpu.stat", *NAMES), budget)
        for _ in range(5):
            kept.each()
            kept.read()
        assert budget.kept <= most
        kept.close()
        assert (descriptors(), budget.kept) == (before, 0)


class TestTogether:
    def test_each_ones_texts_are_joined(self, cgroup: Cgroup, place: Path) -> None:
        kept = [Kept(cgroup, NAMES, Budget(10)) for _ in range(3)]
        for one in kept:
            one.each()
        together = Together(kept)
        (place / "memory.current").write_text("8192\n")
        assert list(together.read()) == [one.read() for one in kept] == [b"2\n8192\n"] * 3
        for one in kept:
            one.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            list(together.read())

    def test_of_none_there_is_none(self) -> None:
        assert list(Together([]).read()) == []


class TestBudget:
    def test_it_keeps_no_more_than_it_may(self, cgroup: Cgroup) -> None:
        before, budget = descriptors(), Budget(3)
        kept = [Kept(cgroup, NAMES, budget) for _ in range(3)]
        for one in kept:
            one.each()
        assert (budget.kept, descriptors() - before) == (2, 2)
        for one in kept:
            one.close()
        assert budget.kept == 0

    def test_what_is_spared_is_kept_only_where_a_number_is_given(self, cgroup: Cgroup, place: Path) -> None:
        for budget, number in ((Budget(), 0), (Budget(10), 2)):
            before = descriptors()
            kept = Kept(cgroup, NAMES, budget, spared=True)
            kept.each()
            (place / "pids.current").write_text("3\n")
            assert kept.read() == b"3\n4096\n"
            assert (budget.kept, descriptors() - before) == (number, number)
            kept.close()

    def test_only_what_is_there_counts(self, cgroup: Cgroup) -> None:
        kept = Kept(cgroup, ("cpu.stat", *NAMES), budget := Budget(10))
        kept.each()
        assert budget.kept == 2
        kept.close()

    def test_less_than_none_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"^kept descriptors -1: cannot be less than 0"):
            Budget(-1)

    def test_left_to_itself_it_leaves_room_for_others(self) -> None:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert 0 <= room() <= soft - 128 or soft < 256
        assert Budget().total == room()

    def test_directories_and_files_share_it(self) -> None:
        budget = Budget(3, 4)
        assert [budget.hold() for _ in range(2)] == [True, True]
        assert [budget.take(number) for number in (3, 2, 1)] == [False, True, False]
        assert (budget.hold(), budget.kept, budget.held) == (False, 2, 2)
