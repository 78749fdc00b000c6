"""A VE may go at any moment: between two scrapes, and between any two system calls of one."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust.site import Site
from rctl.cgroupfs.tree import Tree
from rctl_exporter.scrape import Scraper
from tests.kernel.exporting import Made, all_true, descriptors, give, resident
from tests.kernel.figures import own_figures, shown
from tests.kernel.helpers import LARGE, Ve
from tests.kernel.workload import MIB, Worker

LIMITS = {
    "cpu_limit_cores", "cpu_effective_limit_cores", "memory_max_bytes", "memory_effective_limit_bytes",
    "swap_max_bytes", "pids_max",
}  # fmt: skip
GONE = 5000 if LARGE else 1000
EVERY = {"known": 1, "new": 2} if LARGE else {"known": 3, "new": 7}
"""Every so manieth call of a scrape is one before which the VE goes."""
CALLS = "open", "pread", "scandir", "listdir", "access", "fstat", "stat", "read"
"""The system calls by which a scrape reads."""


@contextmanager
def before_call(number: int, do: Callable[[], object]) -> Iterator[list[str]]:
    """Do something right before that system call of the block (from 1). Gives the names of the calls made."""
    made: list[str] = []

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            made.append(name)
            if len(made) == number:
                do()
            return call(*args, **options)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counting(name, getattr(os, name)))
        yield made


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("remade", [True, False], ids=["made again", "removed"])
def test_a_ve_may_go_before_any_call(place: Path, ve: Ve, other: Ve, exporter: Made, known: bool, remade: bool) -> None:
    """Its figures are shown all or none; limits are read after them."""
    give(place)
    ve.dir.rmdir()
    scraper = exporter()
    shown(scraper)
    shown(scraper)  # by now it holds all that it is going to
    open_before = descriptors()

    def go() -> None:
        ve.dir.rmdir()
        if remade:
            make(ve, pids=22)

    number, calls = 0, 1
    while number < calls:
        number += EVERY["known" if known else "new"]
        make(ve, pids=11)
        if known:
            shown(scraper)
        with before_call(number, go) as made:
            figures = shown(scraper)
        calls = len(made)
        if number > calls:
            go()
        assert figures["web2"]["pids_max", ""] == float("inf")
        if found := figures.get("web1"):
            whole = figures["web2"].keys()
            assert found.keys() in (whole, {key for key in whole if key[0] not in LIMITS}), made[number - 1 : number]
            assert found.get(("pids_max", ""), 11) in ([11] if known else [11, 22])
        assert own_figures(scraper)["scrape_read_errors", ""] == 0
        after = shown(scraper).get("web1", {})
        assert after.get(("pids_max", "")) == (22 if remade else None)
        if remade:
            ve.dir.rmdir()
            shown(scraper)
    assert number > 20
    assert descriptors() == open_before


def make(ve: Ve, pids: int) -> None:
    """Make a cgroup that can be told from others of its name."""
    ve.dir.mkdir()
    (ve.dir / "pids.max").write_text(str(pids))


def storm(place: Path, names: list[str]) -> Worker:
    """A child that makes and removes cgroups as fast as it can; answers how many it has removed so far."""

    def main(sock: socket.socket) -> None:
        sock.setblocking(False)
        removed = 0
        while True:
            for name in names:
                os.mkdir(place / name)
            for name in names:
                os.rmdir(place / name)
            removed += len(names)
            try:
                if not sock.recv(256):
                    return
                sock.send(str(removed).encode())
            except BlockingIOError:
                continue

    return Worker(None, main)


def test_ves_come_and_go_while_it_scrapes(place: Path, tree: Tree, ve: Ve, exporter: Made) -> None:
    give(place)
    scraper = exporter("full")
    ve.set({"pids.max": 9})
    shown(scraper)
    shown(scraper)
    before = descriptors()
    worker = storm(place, [f"{ve.dir.name}-{number}" for number in range(10)] + ["by the way"])
    removed, scrapes, sizes = 0, 0, []
    while removed < GONE or scrapes < 20:
        removed = int(worker.ask("how many?") or 0)
        assert shown(scraper)["web1"]["pids_max", ""] == 9
        assert own_figures(scraper)["scrape_read_errors", ""] == 0
        scrapes += 1
        sizes.append(resident())
    worker.kill()
    assert sizes[-1] - sizes[len(sizes) // 4] < 2 * MIB
    for left in place.iterdir():
        if left.is_dir() and left != ve.dir:
            left.rmdir()
    all_true(scraper, tree, place)
    assert descriptors() == before


def test_closed_it_holds_nothing(ve: Ve, site: Site) -> None:
    from rctl_exporter.settings import Settings

    before = descriptors()
    with Scraper(site, Settings()) as scraper:
        scraper.scrape()
        assert descriptors() > before
    assert descriptors() == before
