"""Metrics of the exporter itself: the cost of a scrape, and the resources of its process."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from rctl.version import __version__

from .families import MetricKind
from .page import escaped
from .request_filter import ALL, Only

_GAUGES = {
    "scrape_duration_seconds": "Time that the last scrape took.",
    "scrape_ves": "VEs in the last scrape.",
    "scrape_read_errors": "Cgroups and files that exist and could not be read in the last scrape.",
    "scrape_unread_ves": "VEs with a file that could not be read in the last scrape.",
    "scrape_kept_fds": "Interface files that are kept open.",
    "scrape_bytes": "Bytes of the VEs' families in the last scrape, uncompressed.",
}


class Metric(NamedTuple):
    """One family. ``kind``: its name without samples' endings. Then label names, and a value for each set of labels."""

    name: str
    kind: MetricKind
    help: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """The name on each sample line."""
        return self.name + ("_total" if self.kind == "counter" else "")

    def text(self, openmetrics: bool) -> bytes:
        """Its lines in the text format or in OpenMetrics."""
        head, sample = _named(self.name, self.sample, self.kind, self.help, openmetrics)
        lines = [head]
        for values, number in self.values.items():
            lines.append(b"%b%b %b\n" % (sample, _pairs(self.labels, values), repr(float(number)).encode()))
        return b"".join(lines)


@lru_cache(64)  # more than there are
def _named(name: str, sample: str, kind: str, text: str, openmetrics: bool) -> tuple[bytes, bytes]:
    """The lines that describe a family, and the name on each sample line."""
    family = (name if openmetrics else sample).encode()
    return b"# HELP %b %b\n# TYPE %b %b\n" % (family, text.encode(), family, kind.encode()), sample.encode()


@lru_cache(1 << 10)
def _pairs(labels: tuple[str, ...], values: tuple[str, ...]) -> bytes:
    pairs = [b'%b="%b"' % (label.encode(), escaped(value)) for label, value in zip(labels, values, strict=True)]
    return b"{%b}" % b",".join(pairs) if pairs else b""


class Own:
    """The figures of the last scrape, and of the exporter's process."""

    def __init__(self, lasting: bool = True) -> None:
        """``lasting``: the process goes on after this page, so the figures of the process are shown."""
        self._lasting = lasting
        self._gauges: dict[str, float] = {}
        self._steps: dict[str, tuple[float, bool]] = {}
        self._writes: Mapping[str, int] = {}
        self._failures: Mapping[str, int] = {}
        self._start = time.time()

    def collected(self, collector: str, seconds: float, success: bool) -> None:
        """Note the end of one step of a scrape."""
        self._steps[collector] = (seconds, success)

    def scraped(
        self, seconds: float, ves: int, errors: int, unread: int, kept: int, size: int,
        writes: Mapping[str, int], failures: Mapping[str, int],
    ) -> None:  # fmt: skip
        """Note the end of a scrape.

        ``seconds``: its time. ``ves``: VEs on the page. ``errors``: cgroups and files that could not be read.
        ``unread``: VEs with such a file. ``kept``: files that are kept open. ``size``: bytes of the VEs' families.
        ``writes``, ``failures``: limits that rctl wrote, and failed to write, by file.
        """
        self._gauges = dict(zip(_GAUGES, (seconds, ves, errors, unread, kept, size), strict=True))
        self._writes, self._failures = dict(writes), dict(failures)

    @property
    def names(self) -> set[str]:
        """Names of the families, with and without a counter's ``_total``."""
        return {name for metric in self.metrics() for name in (metric.name, metric.sample)}

    def page(self, openmetrics: bool, only: Only = ALL) -> bytes:
        """The families in ``only`` as text. In OpenMetrics it ends with the end of the page."""
        shown = [metric for metric in self.metrics() if only.shows_own(metric.name, metric.sample)]
        return b"".join(metric.text(openmetrics) for metric in shown) + (b"# EOF\n" if openmetrics else b"")

    def metrics(self) -> Iterator[Metric]:
        """All families about the exporter."""
        yield Metric(
            "rctl_build_info", "gauge", "The version that is running.",
            {(__version__, sys.version.partition(" ")[0]): 1}, ("version", "pythonversion"),
        )  # fmt: skip
        for name, value in self._gauges.items():
            yield Metric(f"rctl_{name}", "gauge", _GAUGES[name], {(): value})
        yield Metric(
            "rctl_scrape_collector_duration_seconds", "gauge", "Time that a step of the last scrape took.",
            {(step,): took for step, (took, _) in self._steps.items()}, ("collector",),
        )  # fmt: skip
        yield Metric(
            "rctl_scrape_collector_success", "gauge", "Whether a step of the last scrape read everything.",
            {(step,): well for step, (_, well) in self._steps.items()}, ("collector",),
        )  # fmt: skip
        yield _counter("rctl_limit_writes", "Limits written by rctl since the exporter started.", self._writes)
        yield _counter(
            "rctl_limit_write_errors", "Limits that rctl could not set since the exporter started.", self._failures
        )
        if self._lasting:
            yield from self._process()

    def _process(self) -> Iterator[Metric]:
        times = os.times()
        yield Metric(
            "process_cpu_seconds", "counter", "CPU time of the exporter, user and system.",
            {(): times.user + times.system},
        )  # fmt: skip
        with contextlib.suppress(OSError):  # the host may have no free descriptor: show the rest
            with open("/proc/self/statm", encoding="ascii") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            yield Metric("process_resident_memory_bytes", "gauge", "Resident memory of the exporter.", {(): resident})
        with contextlib.suppress(OSError):
            yield Metric("process_open_fds", "gauge", "Files that the exporter has open.", {(): _open_files()})
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield Metric("process_max_fds", "gauge", "Most files that the exporter may have open.", {(): limit})
        yield Metric(
            "process_start_time_seconds", "gauge", "Unix time at which the exporter started.", {(): self._start}
        )


def _open_files() -> int:
    """The number of open files. Linux 6.2 and later show it as the size of the folder /proc/self/fd.

    Older kernels need a listing, which costs as much as reading as many files. But a new file gets the lowest free
    number, so only the numbers above it are looked at. A position in that folder is a number plus two.
    """
    if found := os.stat("/proc/self/fd").st_size:
        return found
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.lseek(folder, folder + 3, os.SEEK_SET)
        return folder + len(os.listdir(folder)) - 1  # the listing opens the folder once more
    finally:
        os.close(folder)


def _counter(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    return Metric(name, "counter", text, {(file,): count for file, count in sorted(counts.items())}, ("setting",))
