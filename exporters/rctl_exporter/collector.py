"""rctl's metric families for any prometheus_client registry.

from prometheus_client import REGISTRY, start_http_server
from rctl_exporter import Collector

REGISTRY.register(Collector())
start_http_server(9100, "127.0.0.1")
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

from prometheus_client import Metric
from prometheus_client import registry as prometheus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from rctl.api.session import Session
from rctl.cgroupfs.open_files import Budget, room
from rctl.cgroupfs.tree import Tree

from .families import Family
from .frame import INFO, Block, Frame
from .owner import readable
from .scrape import Scraper
from .settings import Settings


class Collector(prometheus.Collector):
    """A custom collector (https://prometheus.github.io/client_python/collector/custom/). ``close()`` it when done.

    Each ``collect`` reads the kernel. Between two calls it keeps open files only. It is safe to use from several
    threads.
    """

    def __init__(self, settings: Settings | None = None, tree: Tree | None = None) -> None:
        """``settings``: which VEs, and which metrics of each; unset: profile ``core`` of all. Keeps at most a quarter
        of the files open that this process may open.

        ``tree``: unset, this host's. Raises NotAvailableError if no cgroup2 is mounted, or if no more inotify instance
        is free.
        """
        self._session = Session(tree=tree)
        self._lock = threading.Lock()
        try:
            settings = settings or Settings()
            self._scraper = Scraper(self._session.site, settings, budget=Budget(settings.kept_fds, room() // 4))
        except BaseException:
            self._session.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all descriptors."""
        self._scraper.close()
        self._session.close()

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that to register the collector does not read thousands of files."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One reading of all VEs, as prometheus_client's metrics."""
        with self._lock:
            found = list(metrics(self._scraper.frame()))
        yield from found


def metrics(frame: Frame) -> Iterator[Metric]:
    """A frame as prometheus_client's metrics."""
    for family, blocks in frame.items():
        yield _info(family, blocks) if family is INFO else _metric(family, blocks)


def _metric(family: Family, blocks: list[Block]) -> Metric:
    labels = [*family.labels, "ve"]
    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = made(family.full_name, family.help, labels=labels)
    scale = b"e-6" if family.micro else b""
    for block in blocks:
        own = [value for _, value in block.own_labels]
        for member, value in zip(block.members, block.values, strict=True):
            metric.add_metric([*own, readable(member.name)], float(value + scale))
    return metric


def _info(family: Family, blocks: list[Block]) -> Metric:
    metric = InfoMetricFamily(family.full_name, family.help, labels=["ve"])
    for block in blocks:
        for member in block.members:
            metric.add_metric([readable(member.name)], dict(member.info))
    return metric
