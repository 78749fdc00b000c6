"""Files that are read again only when the kernel reports a change. Plain files stand in for the kernel's."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rctl.cgroupfs import changed_counts
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.changed_counts import MOST, Noted, is_noted
from rctl.cgroupfs.open_files import Budget
from rctl.errors import GoneError

NAMES = ("cgroup.events", "memory.events")
FIRST = b"populated 0\noom_kill 0\n"


@dataclass
class Reports:
    """What hears the kernel's reports."""

    watch: int | None = 1
    events: int = 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in (("cgroup.procs", ""), ("cgroup.events", "populated 0\n"), ("memory.events", "oom_kill 0\n")):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def cgroup(place: Path) -> Iterator[Cgroup]:
    with Cgroup("/ve", os.open(place, os.O_RDONLY)) as found:
        yield found


@pytest.fixture
def budget() -> Budget:
    return Budget(1000)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def files(cgroup: Cgroup, budget: Budget, reports: Reports) -> Iterator[Noted]:
    made = Noted(cgroup, NAMES, budget, reports)
    made.each()
    yield made
    made.close()


def descriptors() -> int:
    gc.collect()  # what other tests left behind must not be closed between two counts
    return len(os.listdir("/proc/self/fd"))


def kill(place: Path, number: int) -> None:
    """Count kills for lack of memory."""
    (place / "memory.events").write_text(f"oom_kill {number}\n")


def stale(files: Noted) -> int:
    """How many readings in a row are not what the files hold by now."""
    number = 0
    while files.read() == FIRST:
        number += 1
    return number


@pytest.mark.parametrize(
    ("name", "noted"),
    [
        ("cgroup.events", True),
        ("memory.events", True),
        ("memory.events.local", True),
        ("memory.swap.events", True),
        ("hugetlb.2MB.events", True),
        ("pids.events", True),
        ("pids.events.local", False),
        ("misc.events", False),
        ("memory.current", False),
        ("cgroup.stat", False),
    ],
)
def test_which_files_are_so(name: str, noted: bool) -> None:
    assert is_noted(name) is noted


def test_a_text_stands_until_the_kernel_reports(files: Noted, place: Path, reports: Reports, budget: Budget) -> None:
    assert files.read() == FIRST
    kill(place, 1)
    reports.events += 1
    assert files.read() == b"populated 0\noom_kill 1\n"
    assert (budget.kept, budget.held) == (0, len(NAMES))


def test_nothing_is_read_of_which_nothing_is_reported(files: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    while files._left:
        files.read()
    files.read()
    monkeypatch.setattr(os, "open", None)
    assert [files.read() for _ in range(MOST)] == [FIRST] * MOST


def test_what_nobody_reported_is_read_all_the_same_soon(files: Noted, place: Path) -> None:
    kill(place, 1)
    assert stale(files) <= MOST
    (place / "memory.events").unlink()
    kill(place, 0)  # another file of the same name
    assert [files.read() for _ in range(MOST + 1)][-1] == FIRST


def test_not_all_are_read_again_in_the_same_scrape(cgroup: Cgroup, place: Path, reports: Reports) -> None:
    made = [Noted(cgroup, NAMES, Budget(1000), reports) for _ in range(MOST)]
    for files in made:
        files.each()
        files.read()
    kill(place, 1)
    assert sorted(stale(files) for files in made) == list(range(MOST))
    for files in made:
        files.close()


def test_a_report_that_comes_while_it_is_read_counts(files: Noted, place: Path, reports: Reports) -> None:
    reports.events += 1
    read = changed_counts.Kept.read

    def late(self: changed_counts.Kept) -> bytes:
        text = read(self)
        kill(place, 1)
        reports.events += 1
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changed_counts.Kept, "read", late)
        assert files.read() == FIRST
    assert stale(files) == 0


def test_the_first_reading_holds_nothing(cgroup: Cgroup, place: Path, budget: Budget, reports: Reports) -> None:
    before = descriptors()
    files = Noted(cgroup, NAMES, budget, reports)
    files.each()
    assert (budget.held, descriptors()) == (0, before)
    kill(place, 1)  # nobody hears of it, and it is seen
    assert files.read() == b"populated 0\noom_kill 1\n"
    assert (budget.held, descriptors()) == (len(NAMES), before + len(NAMES))
    files.close()


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (("memory.events", "memory.events.local"), ["memory.events"]),
        (("memory.events.local",), ["memory.events.local"]),
        (("pids.events",), ["pids.events", "pids.events.local"]),
    ],
)
def test_what_tells_of_their_changes_is_held(
    cgroup: Cgroup, place: Path, budget: Budget, reports: Reports, names: tuple[str, ...], held: list[str]
) -> None:
    for name in {*names, *held}:
        (place / name).write_text("max 0\n")
    files = Noted(cgroup, names, budget, reports)
    files.each()
    files.read()
    assert [os.readlink(f"/proc/self/fd/{fd}").rpartition("/")[2] for fd in files._held] == held
    files.close()


def test_a_kernel_without_local_events_of_pids(cgroup: Cgroup, place: Path, budget: Budget, reports: Reports) -> None:
    (place / "pids.events").write_text("max 0\n")
    before = descriptors()
    files = Noted(cgroup, ("pids.events",), budget, reports)
    files.each()
    files.read()
    assert (budget.held, descriptors()) == (1, before + 1)
    files.close()


def test_without_a_watch_it_is_read_each_time(cgroup: Cgroup, place: Path, budget: Budget) -> None:
    files = Noted(cgroup, NAMES, budget, Reports(watch=None))
    files.each()
    kill(place, 1)
    assert stale(files) == 0
    assert (budget.kept, budget.held) == (len(NAMES), 0)
    files.close()


@pytest.mark.parametrize("total", [0, 1])
def test_without_room_for_descriptors_it_is_read_each_time(
    cgroup: Cgroup, place: Path, reports: Reports, total: int
) -> None:
    before, budget = descriptors(), Budget(1000, total)
    files = Noted(cgroup, NAMES, budget, reports)
    files.each()
    kill(place, 1)
    assert stale(files) == 0
    assert (budget.held, descriptors()) == (0, before)
    files.close()


def test_all_descriptors_are_given_back(cgroup: Cgroup, budget: Budget, reports: Reports) -> None:
    before = descriptors()
    files = Noted(cgroup, NAMES, budget, reports)
    for _ in range(3):
        files.each()
        reports.events += 1
        files.read()
        assert descriptors() == before + len(NAMES)
    files.close()
    assert (budget.held, descriptors()) == (0, before)


def test_of_a_cgroup_that_has_gone(files: Noted, place: Path, budget: Budget, reports: Reports) -> None:
    before = descriptors() - budget.held
    for name in ("cgroup.procs", *NAMES):
        (place / name).unlink()
    reports.events += 1
    with pytest.raises(OSError, match="No such file"):
        files.read()
    with pytest.raises(GoneError):
        files.each()
    assert (budget.held, descriptors()) == (0, before)
