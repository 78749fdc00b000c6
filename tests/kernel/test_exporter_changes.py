"""Whatever changes, and whoever changes it, is in the next scrape, however the exporter learns of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from tests.kernel.exporting import AWKWARD, Made, all_true, give, nested, put, take
from tests.kernel.figures import core, own_figures, shown
from tests.kernel.helpers import Ve
from tests.kernel.workload import MIB, sleeper

INOTIFY = Path("/proc/sys/fs/inotify")


@contextmanager
def inotify(name: str, value: int) -> Iterator[None]:
    """A setting of the kernel's inotify, for as long as the block lasts."""
    before = (INOTIFY / name).read_text()
    (INOTIFY / name).write_text(str(value))
    try:
        yield
    finally:
        (INOTIFY / name).write_text(before)


SETTINGS = {
    "no watch": ("max_user_watches", 0),
    "two watches": ("max_user_watches", 2),
    "words lost": ("max_queued_events", 3),
}
FDS = {"no fds": 0, "few fds": 12}


Next = Callable[[], None]


@pytest.fixture(params=["by word", "by looking", *SETTINGS, *FDS])
def check_next(request: pytest.FixtureRequest, exporter: Made, tree: Tree, place: Path, ve: Ve) -> Iterator[Next]:
    """Checks the next scrape of one that learns of changes in one of all the ways, of VEs that it has seen once.

    Where the kernel tells of everything, of all figures, else of the core profile's, which is quicker.
    """
    give(place)
    nested(tree, place, *AWKWARD)
    how, fds = request.param, FDS.get(request.param)
    with ExitStack() as stack:
        if how in SETTINGS:
            request.getfixturevalue("as_root")
            stack.enter_context(inotify(*SETTINGS[how]))
        profile, only = ("full", dict) if how == "by word" else ("core", core)
        made = exporter(profile, kept_fds=fds, watch=how != "by looking")
        all_true(made, tree, place, only)
        if fds is not None:
            assert own_figures(made)["scrape_kept_fds", ""] <= fds
        yield lambda: all_true(made, tree, place, only)


Change = Callable[[Ve, Ve], object]


def by_rctl(ve: Ve, _: Ve) -> None:
    ve.set({"memory.max": "96M", "pids.max": 70, "cpu.max": "50%"})


def by_anybody(ve: Ve, odd: Ve) -> None:
    for one in (ve, odd):
        put(one, cpu_idle="0")  # or there would be no weight to set
        put(one, memory_max="80M", memory_high="70M", pids_max="33", cpu_max="30000 60000", cpu_weight="30")
        put(one, hugetlb_2MB_max="2M", memory_swap_max="1M", cpu_idle="1", cpu_max_burst="500")


def above(_: Ve, odd: Ve) -> None:
    put(Ve(odd.tree, odd.path.rpartition("/")[0]), memory_max="48M", cpu_max="20000 100000")


def cpus_above(_: Ve, odd: Ve) -> None:
    put(Ve(odd.tree, odd.path.rpartition("/")[0]), cpuset_cpus="1")


def without_controllers(ve: Ve, odd: Ve) -> None:
    take(odd.dir.parent, "memory", "io", "cpu", "hugetlb")
    take(ve.dir.parent, "pids") if not (odd.dir.parent / "pids.max").exists() else take(odd.dir.parent, "pids")


def with_controllers(ve: Ve, odd: Ve) -> None:
    give(ve.dir.parent)
    give(odd.dir.parent)


def switch(ve: Ve, text: str) -> None:
    if ve.has("cgroup.pressure"):
        (ve.dir / "cgroup.pressure").write_text(text)
        assert ve.has("cpu.pressure") == (text == "1")


def no_pressure(ve: Ve, odd: Ve) -> None:
    switch(ve, "0")
    switch(odd, "0")


def pressure(ve: Ve, odd: Ve) -> None:
    switch(ve, "1")
    switch(odd, "1")


def others(ve: Ve, odd: Ve) -> None:
    (ve.dir.parent / "one more").mkdir()
    (odd.dir / "below" / "and below").mkdir(parents=True)
    (ve.dir / "inside").mkdir()
    sleeper(ve.dir / "inside")


def fewer(ve: Ve, odd: Ve) -> None:
    (ve.dir.parent / "one more").rmdir()
    (odd.dir / "below" / "and below").rmdir()
    (odd.dir / "below").rmdir()


def made_again(_: Ve, odd: Ve) -> None:
    put(odd, pids_max="12", memory_max="1G")
    odd.dir.rmdir()
    odd.dir.mkdir()
    put(odd, pids_max="34")


def moved(ve: Ve, odd: Ve) -> None:
    """The parent, too, is another one, of the same name."""
    odd.dir.rmdir()
    odd.dir.parent.rmdir()
    odd.dir.mkdir(parents=True)


STORY: tuple[Change, ...] = (
    by_rctl, by_anybody, above, cpus_above, no_pressure, without_controllers, pressure, with_controllers, others, fewer,
    made_again, by_anybody, moved,
)  # fmt: skip


def test_the_next_scrape_shows_every_change(check_next: Next, tree: Tree, place: Path, ve: Ve) -> None:
    odd = nested(tree, place, *AWKWARD)
    for change in STORY:
        change(ve, odd)
        try:
            check_next()
        except AssertionError as error:
            raise AssertionError(f"after {change.__name__}: {error}") from error


def test_a_ve_made_again_has_none_of_the_old_ones_figures(make_ve: Callable[[str], Ve], exporter: Made) -> None:
    ve = make_ve("web1")
    ve.set({"pids.max": 50})
    scraper = exporter("full")
    worker = sleeper(ve.dir)
    old = shown(scraper)["web1"]
    assert (old["limit_drift", "pids.max"], old["pids_max", ""], old["populated", ""]) == (0, 50, 1)
    worker.kill()
    os.rmdir(ve.dir)
    make_ve("web1")
    new = shown(scraper)["web1"]
    assert ("limit_drift", "pids.max") not in new
    assert (new["pids_max", ""], new["populated", ""]) == (float("inf"), 0)
    assert new["cpu_usage_seconds_total", ""] == 0


def test_watches_that_are_free_again_are_used(as_root: None, place: Path, tree: Tree, ve: Ve, exporter: Made) -> None:
    with inotify("max_user_watches", 0):
        scraper = exporter()
        all_true(scraper, tree, place, core)
    all_true(scraper, tree, place, core)
    ve.set({"memory.max": 64 * MIB})
    all_true(scraper, tree, place, core)
