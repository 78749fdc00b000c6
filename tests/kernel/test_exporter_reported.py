"""Counts that are read again only when the kernel reports them: none stays behind, whatever becomes of the reports."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import pytest

from rctl.cgroupfs import changed_counts
from rctl.cgroupfs.tree import Tree
from rctl_exporter.scrape import Scraper
from tests.kernel.exporting import HUGE, Made, freeze, give, nested, put, reported, take
from tests.kernel.figures import Figures, events, shown
from tests.kernel.helpers import Ve
from tests.kernel.test_exporter_changes import inotify
from tests.kernel.test_hugetlb import pool  # noqa: F401 (a fixture)
from tests.kernel.workload import MIB, Worker, filler, forker, huge, sleeper, until

LONG = 1 << 30
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


@pytest.fixture(autouse=True)
def never_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read again when something was reported, and not once in a while, too."""
    monkeypatch.setattr(changed_counts, "MOST", LONG)
    monkeypatch.setattr(changed_counts, "_TURNS", repeat(LONG))


class Seen:
    """A parent and a VE in it, and an exporter that has shown both."""

    def __init__(self, parent: Ve, child: Ve, scraper: Scraper, between: Callable[[], object]) -> None:
        self.parent, self.child, self.scraper = parent, child, scraper
        self.between = between
        self.last = self.next()

    def next(self) -> dict[str, Figures]:
        """The next page's counts that are reported, of both, once they are the files' own."""
        found: dict[str, Figures] = {}

        def right() -> bool:
            nonlocal found
            page = shown(self.scraper)
            found = {ve.path: reported(page[ve.path]) for ve in (self.parent, self.child)}
            return found == {ve.path: events(ve.dir) for ve in (self.parent, self.child)}

        until(right, "the page to show what the files hold", 30)
        self.between()
        return found

    def rises(self, *names: str, only: Ve | None = None) -> None:
        """Since the last page these counts have risen, at the VE and at all above it, or at ``only`` one."""
        before, after = self.last, self.next()
        for ve in (self.parent, self.child):
            for name in names:
                if ve is (only or ve):
                    assert after[ve.path][name, ""] > before[ve.path].get((name, ""), 0), f"{name} of {ve}"
        self.last = after


def nothing() -> None:
    """Nothing happens between two scrapes."""


def drop_caches() -> None:
    """Every inode and directory entry goes that nobody holds."""
    DROP_CACHES.write_text("2")


@pytest.fixture(params=["by word", "caches dropped", "no watch", "words lost", "by looking", "no fds"])
def seen(request: pytest.FixtureRequest, exporter: Made, tree: Tree, place: Path, as_root: None) -> Iterator[Seen]:
    """An exporter that hears of changes in one of all the ways."""
    settings = {"no watch": ("max_user_watches", 0), "words lost": ("max_queued_events", 3)}
    how = request.param
    child = nested(tree, place, "reported", "below")
    parent = Ve(tree, child.path.rpartition("/")[0])
    with ExitStack() as stack:
        if how in settings:
            stack.enter_context(inotify(*settings[how]))
        scraper = exporter("full", watch=how != "by looking", kept_fds=0 if how == "no fds" else None)
        yield Seen(parent, child, scraper, drop_caches if how == "caches dropped" else nothing)


def killed(ve: Ve, by: Ve | None = None) -> None:
    """A process of the VE is killed for lack of memory, by the VE's own limit or one above."""
    limited = by or ve
    put(ve, memory_swap_max="0")
    put(limited, memory_max="4M")
    assert not filler(ve.dir).hold(16)
    put(limited, memory_max="max")


@pytest.mark.usefixtures("pool", "swap")
def test_every_count_that_is_reported_is_on_the_next_page(seen: Seen) -> None:
    child = seen.child
    for _ in range(2):
        killed(child)
        seen.rises("memory_events_max_total", "memory_events_oom_total", "memory_events_oom_kill_total")
    killed(child, by=seen.parent)
    seen.rises("memory_events_max_total", "memory_events_local_max_total", only=seen.parent)
    put(child, memory_high="2M", memory_swap_max="max")
    worker = filler(child.dir, 6)
    seen.rises("memory_events_high_total", "populated")
    worker.kill()
    until(lambda: not child.count("cgroup.events", "populated"), "the VE to be empty")
    assert seen.next()[child.path]["populated", ""] == 0
    put(child, memory_high="max", memory_oom_group="1")
    seen.last = seen.next()
    killed(child)
    seen.rises("memory_events_oom_kill_total", *["memory_events_oom_group_kill_total"] * _counts_groups(child))
    put(child, memory_oom_group="0", memory_swap_max="1M", memory_max="8M")
    filler(child.dir).hold(24)
    seen.last = seen.next()  # events of swap are counted now and then only: who sees that swap is full asks for none
    put(child, memory_max="max", pids_max="3")
    forker(child.dir).ask("9")
    seen.rises("pids_max_events_total", only=child)
    put(child, pids_max="max")
    if child.has("hugetlb.2MB.max"):
        put(child, hugetlb_2MB_max=str(HUGE))
        huge(child.dir, 2, HUGE).answer()
        assert seen.next()[child.path]["hugetlb_max_events_total", "2MB"] > 0
    sleeper(child.dir)
    freeze(child)
    assert seen.next()[child.path]["frozen", ""] == 1
    put(child, cgroup_freeze="0")
    until(lambda: not child.count("cgroup.events", "frozen"), "the VE to be thawed")
    assert seen.next()[child.path]["frozen", ""] == 0


def test_so_is_one_of_a_ve_that_was_made_again(seen: Seen) -> None:
    for _ in range(2):
        killed(seen.child)
        seen.rises("memory_events_oom_kill_total")
        seen.child.dir.rmdir()
        seen.child.dir.mkdir()
        seen.last = seen.next()
        assert seen.last[seen.child.path]["memory_events_oom_kill_total", ""] == 0


def test_so_is_one_whose_controller_came_back(seen: Seen) -> None:
    for _ in range(2):
        killed(seen.child)
        seen.rises("memory_events_oom_kill_total")
        take(seen.parent.dir, "memory")
        give(seen.parent.dir, ("memory",))
        seen.last = seen.next()  # the kernel goes on counting where io needs the controller, else it begins anew


def test_many_at_once(seen: Seen) -> None:
    """More reports than the kernel keeps, where it keeps few."""
    workers: list[Worker] = [filler(seen.child.dir) for _ in range(8)]
    for ve in (seen.child, seen.parent):
        put(ve, memory_swap_max="0", memory_max=f"{4 * MIB}")
    for worker in workers:
        worker.tell("16")
    for worker in workers:
        worker.answer()
    seen.rises("memory_events_oom_kill_total")


def _counts_groups(ve: Ve) -> bool:
    return "oom_group_kill" in ve.text("memory.events")
