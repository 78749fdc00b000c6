"""Programs that scrape the same VEs. Each is a process that does one scrape for each line on its standard input.

It answers with a line: CPU time and elapsed time in nanoseconds, bytes, resident memory in bytes, and, if the program
knows them, the nanoseconds of rendering and the samples. ``python -m rctl.bench.scraping.scrapers NAME ...``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rctl_exporter.frame import Frame

Scrape = Callable[[], object]
"""One scrape."""
_RENDERINGS = 5
Telling = Callable[[Any], Sequence[int]]
"""The facts about the result of a scrape: first its bytes."""


def main(words: Sequence[str]) -> int:
    """Serve lines until standard input ends."""
    from ...cgroupfs.files import allow_open_files

    allow_open_files(1 << 20)
    what, *arguments = words
    scrape, tell = _SUBJECTS[what](*arguments)
    for _ in sys.stdin:
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        found = scrape()
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        size, *more = tell(found)
        sys.stdout.write(" ".join(map(str, (cpu, wall, size, _resident(), *more))) + "\n")
        sys.stdout.flush()
    return 0


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _bare(list_of_files: str) -> tuple[Scrape, Telling]:
    """The same as readloop.c, for machines without a C compiler."""
    fds = [os.open(path, os.O_RDONLY) for path in _lines(list_of_files)]
    return lambda: sum([len(os.pread(fd, 1 << 14, 0)) for fd in fds]), lambda size: [size]


def _rctl(patterns: str, profile: str, list_of_files: str) -> tuple[Scrape, Telling]:
    """rctl's exporter, with all descriptors kept. ``list_of_files``: the file in which to list the files it reads."""
    from rctl_exporter.page import Page
    from rctl_exporter.scrape import Scraper
    from rctl_exporter.settings import Rule, Settings

    from ...api.session import Session
    from ...cgroupfs.tree import cgroup2_mount

    scraper = Scraper(
        Session().site, Settings(include=tuple(patterns.split(",")), collect=(Rule.parse(profile),), kept_fds=1 << 20)
    )
    scraper.scrape()
    with open(list_of_files, "w", encoding="ascii") as out:
        out.writelines(f"{cgroup2_mount()}{path}\n" for path in scraper.files())

    page = Page()

    def rendering(frame: Frame) -> int:
        page.forget_texts()  # so that every value counts as changed
        begin = time.process_time_ns()
        page.render(frame, openmetrics=False)
        return time.process_time_ns() - begin

    def tell(chunks: list[bytes]) -> Sequence[int]:
        frame = scraper.frame()
        least = min(rendering(frame) for _ in range(_RENDERINGS))
        return sum(map(len, chunks)), least, sum(map(_samples, chunks))

    return scraper.scrape, tell


def _samples(chunk: bytes) -> int:
    return chunk.count(b"\n") - chunk.count(b"\n# ") - chunk.startswith(b"# ")


def _plain(list_of_files: str) -> tuple[Scrape, Telling]:
    """A collector written as in prometheus_client's manual: open, read, parse, a metric for each figure."""
    from prometheus_client import CollectorRegistry, Metric, generate_latest
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    paths = _lines(list_of_files)

    class Plain(Collector):
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            families: dict[str, Any] = {}
            for path in paths:
                folder, _, name = path.rpartition("/")
                ve = folder.rpartition("/")[2]
                with open(path, encoding="ascii") as file:
                    for labels, key, value in _figures(file.read()):
                        family = families.get(name + key)
                        if family is None:
                            text = "".join(c if c.isalnum() else "_" for c in f"{name}_{key}")
                            family = families[name + key] = GaugeMetricFamily(text, name, labels=["ve", "line"])
                        family.add_metric([ve, labels], value)
            yield from families.values()

    registry = CollectorRegistry()
    registry.register(Plain())
    return lambda: generate_latest(registry), lambda page: [len(page)]


def _figures(text: str) -> Iterator[tuple[str, str, float]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) == 1:
            yield "", "", float(words[0])
        elif "=" not in line:
            yield "", words[0], float(words[1])
        else:
            for pair in words[1:]:
                key, _, value = pair.partition("=")
                yield words[0], key, float(value)


def _lines(path: str) -> list[str]:
    with open(path, encoding="ascii") as lines:
        return [line.rstrip("\n") for line in lines]


_SUBJECTS: dict[str, Callable[..., tuple[Scrape, Telling]]] = {"bare": _bare, "rctl": _rctl, "plain": _plain}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
