"""Other exporters as they run, beside rctl's own over HTTP (``over_http``).

Other exporters show other things: node_exporter shows the host, cAdvisor shows every cgroup. The costs for each sample
can be compared.
"""

from __future__ import annotations

import http.client
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from ...cgroupfs.cgroup import Cgroup
from ..figures.result import Figure
from ..workloads.base import found
from .over_http import Exporter

_SCRAPES = 8


class ServedExporter(NamedTuple):
    """One exporter. ``cpu``: its CPU time for a scrape in ns, median. ``size``: bytes sent. ``memory``: of its cgroup.

    ``trouble``: why it was not measured.
    """

    name: str
    cpu: float = 0.0
    samples: int = 0
    size: int = 0
    memory: int = 0
    trouble: str = ""

    def figures(self) -> list[Figure]:
        """Its figures."""
        if self.trouble:
            name = f"{self.name}: CPU per scrape"
            return [Figure(name, None, "seconds", self.trouble, verdict="not measured", group="exporters")]
        origin = f"{_SCRAPES} scrapes over HTTP, gzip, {self.samples} samples, {self.size} bytes sent"
        return [
            Figure(f"{self.name}: CPU per scrape", self.cpu * 1e-9, "seconds", origin, group="exporters"),
            Figure(
                f"{self.name}: CPU per sample", self.cpu * 1e-9 / max(1, self.samples), "seconds", origin,
                group="exporters",
            ),
            Figure(f"{self.name}: memory", self.memory, "bytes", f"its cgroup's; {origin}", group="exporters"),
        ]  # fmt: skip


def own(patterns: Sequence[str], profile: str) -> list[str]:
    """The command of rctl's exporter; ``{}`` stands for the port."""
    chosen = [word for pattern in patterns for word in ("--include", pattern)]
    return [
        sys.executable, "-m", "rctl", "exporter", "serve", "--profile", profile, "--listen", "127.0.0.1:{}", *chosen,
    ]  # fmt: skip


def served(cgroup: Cgroup, tell: Callable[[str], None]) -> list[ServedExporter]:
    """Scrape each other exporter that is installed, in the cgroup. Reports the reason if one does not answer."""
    commands: dict[str, Sequence[str]] = {}
    if node := found("prometheus-node-exporter") or found("node_exporter"):
        commands["node_exporter"] = (node, "--web.listen-address=127.0.0.1:{}")
    if cadvisor := found("cadvisor"):
        commands["cAdvisor"] = (cadvisor, "-listen_ip=127.0.0.1", "-port={}")
    return [_measured(name, command, cgroup, tell) for name, command in commands.items()]


def _measured(name: str, command: Sequence[str], cgroup: Cgroup, tell: Callable[[str], None]) -> ServedExporter:
    tell(f"{name}: over HTTP")
    try:
        with closing(Exporter(name, command, cgroup, os.environ)) as exporter:
            costs = [exporter.scrape() for _ in range(_SCRAPES)]
            cpu = statistics.median(cost.cpu for cost in costs)
            return ServedExporter(name, cpu, exporter.samples(), costs[-1].size, costs[-1].resident)
    except (OSError, http.client.HTTPException) as error:
        return ServedExporter(name, trouble=str(error) or type(error).__name__)
