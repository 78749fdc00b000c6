"""Whole exporters as they run, scraped over HTTP as Prometheus does, with compression: rctl's, and others.

Others do not show the same: node_exporter tells of the host, cAdvisor of every cgroup. Their cost for a sample is what
can be set side by side.
"""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .result import Figure
from .workloads.base import found

_SCRAPES = 8
_PATIENCE = 60.0
_HEADERS = {"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4"}


class Served(NamedTuple):
    """One exporter. ``cpu``: its process's ns a scrape, median; ``size``: bytes sent; ``resident``: bytes of memory.

    ``trouble``: why it was not measured.
    """

    name: str
    cpu: float = 0.0
    samples: int = 0
    size: int = 0
    resident: int = 0
    trouble: str = ""

    def figures(self) -> list[Figure]:
        """What there is to tell."""
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
            Figure(f"{self.name}: resident memory", self.resident, "bytes", origin, group="exporters"),
        ]  # fmt: skip


def served(pattern: str, profile: str, tell: Callable[[str], None]) -> list[Served]:
    """Scrape rctl's exporter and each other that is installed; of one that does not answer, say why."""
    commands: dict[str, Sequence[str]] = {
        "rctl exporter": (
            sys.executable, "-m", "rctl", "exporter", "serve", "--include", pattern, "--profile", profile, "--listen",
            "127.0.0.1:{}",
        ),
    }  # fmt: skip
    if node := found("prometheus-node-exporter") or found("node_exporter"):
        commands["node_exporter"] = (node, "--web.listen-address=127.0.0.1:{}")
    if cadvisor := found("cadvisor"):
        commands["cAdvisor"] = (cadvisor, "-listen_ip=127.0.0.1", "-port={}")
    results = []
    for name, command in commands.items():
        tell(f"{name}: over HTTP")
        port = _free_port()
        process = subprocess.Popen(
            [part.format(port) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            results.append(_scraped(name, process, port))
        except (OSError, http.client.HTTPException) as error:
            process.kill()
            said = process.communicate()[1].decode(errors="replace").strip().splitlines()
            results.append(Served(name, trouble=(said[-1:] or [str(error) or type(error).__name__])[0]))
        finally:
            process.kill()
            process.communicate()
    return results


def _scraped(name: str, process: subprocess.Popen[bytes], port: int) -> Served:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            _scrape(port)  # the first one finds everything, and is not counted
            break
        except (OSError, http.client.HTTPException):
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.05)
    costs, body = [], b""
    for _ in range(_SCRAPES):
        before = _cpu(process.pid)
        body = _scrape(port)
        costs.append(_cpu(process.pid) - before)
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    samples = sum(not line.startswith(b"#") for line in text.splitlines())
    resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Served(name, statistics.median(costs), samples, len(body), resident)


def _scrape(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics", headers=_HEADERS)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}")
        return answer.read()
    finally:
        connection.close()


def _cpu(pid: int) -> int:
    """Nanoseconds on a CPU of all threads (https://docs.kernel.org/scheduler/sched-stats.html)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
