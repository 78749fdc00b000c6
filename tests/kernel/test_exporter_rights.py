"""An exporter without rights to some files serves the rest, and says that it could not read them."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rctl.api.session import Session
from tests.kernel.exporting import give
from tests.kernel.figures import NUMBERS, RATES, Figures, by_ve, families
from tests.kernel.helpers import Ve
from tests.kernel.shell import NOBODY, load_for_all
from tests.kernel.workload import Worker

SETTABLE = ".min", ".low", ".high", ".max", ".weight", ".idle", ".group"
OF_THE_SAME = {
    "memory.current": ["memory_working_set_bytes"],
    "cpu.stat": [
        "cpu_user_seconds_total", "cpu_system_seconds_total", "cpu_nice_seconds_total", "cpu_throttled_seconds_total",
        "cpu_burst_seconds_total", "cpu_periods_total", "cpu_throttled_periods_total", "cpu_bursts_total",
        "cpu_core_sched_force_idle_seconds_total",
    ],
}  # fmt: skip
LIMITS = {*RATES.values(), *(name for file, name in NUMBERS.items() if file.endswith(SETTABLE))} | {
    "cpu_limit_cores", "cpu_effective_limit_cores", "cpu_period_seconds", "cpu_burst_limit_seconds",
    "cpuset_effective_cpus", "memory_effective_limit_bytes", "io_weight", "hugetlb_max_bytes",
}  # fmt: skip
"""Which limit binds cannot be told without one of them, so that a VE has all of them or none."""

Pages = Callable[[], tuple[dict[str, Figures], int]]


@pytest.fixture(params=[True, False], ids=["by word", "by looking"])
def scraped(as_root: None, request: pytest.FixtureRequest) -> Iterator[Pages]:
    """Scrapes as a user without rights: what it shows, and how many read errors it tells of."""
    load_for_all()
    from rctl_exporter.scrape import Scraper
    from rctl_exporter.settings import Settings

    with tempfile.TemporaryFile() as file:

        def main(sock: socket.socket) -> None:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            sock.recv(256)  # a Scraper looks around at once, so what is to be there comes first
            settings = Settings.parse(collect=["full"])
            with Session() as session, Scraper(session.site, settings, watch=request.param) as scraper:
                while True:
                    os.ftruncate(file.fileno(), 0)
                    os.pwrite(file.fileno(), b"".join(scraper.scrape()), 0)
                    sock.send(b"done")
                    if not sock.recv(256):
                        return

        worker = Worker(None, main)

        def scrape() -> tuple[dict[str, Figures], int]:
            assert worker.ask("scrape") == "done"
            file.seek(0)
            page = families(file.read().decode())
            (errors,) = [s.value for metric in page for s in metric.samples if s.name == "rctl_scrape_read_errors"]
            return by_ve(page), int(errors)

        yield scrape


def test_who_may_read_all_tells_of_no_error(place: Path, ve: Ve, scraped: Pages) -> None:
    give(place)
    assert [scraped()[1] for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("file", "family"),
    [
        ("memory.current", "memory_current_bytes"),
        ("cpu.stat", "cpu_usage_seconds_total"),
        ("io.stat", "io_read_bytes_total"),
        ("pids.max", "pids_max"),
        ("cgroup.procs", "processes_current"),
    ],
)
def test_a_file_that_may_not_be_read_is_counted_and_the_rest_is_served(
    place: Path, ve: Ve, other: Ve, scraped: Pages, file: str, family: str
) -> None:
    give(place)
    (ve.dir / file).chmod(0o600)
    for _ in range(2):
        figures, errors = scraped()
        assert errors == 1
        missing = {name for name, _ in figures["web2"].keys() - figures["web1"].keys()}
        assert family in missing or file == "io.stat"  # which is empty
        assert missing <= (LIMITS if file == "pids.max" else {family, *OF_THE_SAME.get(file, ())})
    (ve.dir / file).chmod(0o644)
    figures, errors = scraped()
    assert errors == 0
    assert figures["web1"].keys() == figures["web2"].keys()


def test_a_cgroup_that_may_not_be_opened_is_counted_and_the_rest_is_served(ve: Ve, other: Ve, scraped: Pages) -> None:
    ve.dir.chmod(0o700)
    for _ in range(3):
        figures, errors = scraped()
        assert errors == 1
        assert "web1" not in figures
        assert "web2" in figures
    ve.dir.chmod(0o755)
    figures, errors = scraped()
    assert errors == 0
    assert "web1" in figures
