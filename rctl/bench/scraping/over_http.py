"""A running exporter in its own cgroup, scraped as Prometheus does: compressed, on a connection that stays open."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...cgroupfs.cgroup import Cgroup
from ...controllers.core import PROCS
from .cost import Cost

_PATIENCE = 60.0
_HEADERS = {"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4"}


class Exporter:
    """An exporter's process. ``close()`` it. In its command, ``{}`` stands for the port.

    Raises OSError, HTTPException if it does not answer; ``trouble`` has its last message.
    """

    def __init__(self, name: str, command: Sequence[str], cgroup: Cgroup, environment: Mapping[str, str]) -> None:
        """Start it in the cgroup and wait for its first page; that page finds all VEs and is not counted."""
        self.name = name
        self.body = b""
        self._cgroup = cgroup
        self._port = _free_port()
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        self._process = subprocess.Popen(
            [part.format(self._port) for part in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(environment),
            preexec_fn=lambda: cgroup.write(PROCS, "0"),  # there are no threads
        )
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._page()
                return
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > end or self._process.poll() is not None:
                    self.close()
                    raise OSError(self.trouble or str(error)) from None
                time.sleep(0.05)

    @property
    def trouble(self) -> str:
        """The last line that it wrote to its standard error, once it has ended."""
        text = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
        return (text.strip().splitlines() or [""])[-1]

    def scrape(self) -> Cost:
        """Scrape once. ``resident``: the memory charged to its cgroup, kernel memory included; see ``memory``."""
        cpu, wall = self._cpu(), time.perf_counter_ns()
        self.body = self._page()
        return Cost(self._cpu() - cpu, time.perf_counter_ns() - wall, len(self.body), self.memory())

    def memory(self) -> int:
        """``memory.current`` of its cgroup, in bytes; without the memory controller, its resident memory."""
        charged = self._cgroup.read_if_there("memory.current")
        if charged is not None:
            return int(charged)
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def samples(self) -> int:
        """The number of samples on the last page."""
        text = gzip.decompress(self.body) if self.body[:2] == b"\x1f\x8b" else self.body
        return sum(not line.startswith(b"#") for line in text.splitlines())

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _page(self) -> bytes:
        try:
            self._connection.request("GET", "/metrics", headers=_HEADERS)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens it anew
            raise
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}")
        return body

    def _cpu(self) -> int:
        """Nanoseconds on a CPU of all threads (https://docs.kernel.org/scheduler/sched-stats.html)."""
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
