"""The exporter about itself: what a scrape took, in a prometheus_client registry of its own."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from rctl.version import __version__

_GAUGES = {
    "scrape_duration_seconds": "Time that the last scrape took.",
    "scrape_ves": "VEs in the last scrape.",
    "scrape_read_errors": "Cgroups and files that are there and could not be read in the last scrape.",
    "scrape_unread_ves": "VEs of which something could not be read in the last scrape.",
    "scrape_kept_fds": "Interface files that are kept open.",
    "scrape_bytes": "Bytes of the VEs' families in the last scrape, uncompressed.",
}


class Own(Collector):
    """The figures of the last scrape, and of the exporter's process."""

    def __init__(self, lasting: bool = True) -> None:
        """``lasting``: the process goes on after this page, so that figures of it say something."""
        self._lasting = lasting
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._gauges: dict[str, float] = {}
        self._steps: dict[str, tuple[float, bool]] = {}
        self._writes: Mapping[str, int] = {}
        self._failures: Mapping[str, int] = {}
        self._start = time.time()

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not collect."""
        return iter(())

    def collected(self, collector: str, seconds: float, success: bool) -> None:
        """One step of a scrape has ended."""
        self._steps[collector] = (seconds, success)

    def scraped(
        self, seconds: float, ves: int, errors: int, unread: int, kept: int, size: int,
        writes: Mapping[str, int], failures: Mapping[str, int],
    ) -> None:  # fmt: skip
        """A scrape has ended.

        ``unread``: of how many VEs something could not be read; ``size``: bytes of the VEs' families; ``writes``,
        ``failures``: rctl's own, by file.
        """
        self._gauges = dict(zip(_GAUGES, (seconds, ves, errors, unread, kept, size), strict=True))
        self._writes, self._failures = dict(writes), dict(failures)

    def page(self, openmetrics: bool) -> bytes:
        """The families as text; in OpenMetrics with the end of the page."""
        if openmetrics:
            return bytes(generate_openmetrics(self._registry))  # type: ignore[no-untyped-call]
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        build = GaugeMetricFamily(
            "rctl_build_info", "The version that is running.", labels=["version", "pythonversion"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        for name, value in self._gauges.items():
            yield GaugeMetricFamily(f"rctl_{name}", _GAUGES[name], value)
        yield from self._by_step()
        yield _counter("rctl_limit_writes", "Limits written by rctl since the exporter started.", self._writes)
        yield _counter(
            "rctl_limit_write_errors",
            "Limits that rctl could not set since the exporter started.",
            self._failures,
        )
        if self._lasting:
            yield from self._process()

    def _by_step(self) -> Iterator[Metric]:
        seconds = GaugeMetricFamily(
            "rctl_scrape_collector_duration_seconds", "Time that a step of the last scrape took.", labels=["collector"]
        )
        success = GaugeMetricFamily(
            "rctl_scrape_collector_success", "Whether a step of the last scrape read everything.", labels=["collector"]
        )
        for collector, (took, well) in self._steps.items():
            seconds.add_metric([collector], took)
            success.add_metric([collector], float(well))
        yield seconds
        yield success

    def _process(self) -> Iterator[Metric]:
        """prometheus_client's ProcessCollector lists all open descriptors, which here are very many."""
        times = os.times()
        yield CounterMetricFamily(
            "process_cpu_seconds", "CPU time of the exporter, user and system.", times.user + times.system
        )
        with contextlib.suppress(OSError):  # the host may open no more files: the rest of the page does not suffer
            with open("/proc/self/statm", encoding="ascii") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory of the exporter.", resident)
        yield GaugeMetricFamily("process_start_time_seconds", "Unix time at which the exporter started.", self._start)


def _counter(name: str, text: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=["setting"])
    for setting, count in sorted(counts.items()):
        family.add_metric([setting], count)
    return family
