"""A real Prometheus that scrapes a real exporter, and what its query API answers."""

import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kernel.figures import Figures
from tests.kernel.workload import until
from tests.lab.tools import prometheus_folder

RULES = Path(__file__).parents[2] / "exporters" / "prometheus"
SELDOM = 0.1
"""Seconds between two questions to the server, each of which takes a CPU from it for a while."""
Series = tuple[dict[str, str], float]


def promtool(*words: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run promtool on a text."""
    program = prometheus_folder() / "bin" / "promtool"
    return subprocess.run([program, *words], input=text, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def exporter(*words: str, open_files: int | None = None) -> Iterator[str]:
    """`rctl exporter serve` for as long as the block lasts; gives its ADDRESS:PORT. `open_files`: its hard limit."""
    command = [sys.executable, "-m", "rctl", "exporter", "serve", "--listen", "127.0.0.1:0", *words]
    if open_files:
        command = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *command]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = process.stderr.readline()
            found = re.search(r"//([\d.]+:\d+)/metrics", line)
            assert found, line
            yield found[1]
        finally:
            process.terminate()
            said = process.communicate(timeout=20)[1]
    assert (process.returncode, said) == (0, "")


def page(address: str, accept: str = "") -> str:
    """One page, as any client gets it."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


@contextmanager
def server(target: str, folder: Path, seconds: int) -> Iterator["Prometheus"]:
    """A server with our rules that scrapes the target so often; it keeps its data in the folder."""
    every = f"{seconds}s"
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(path) for path in sorted(RULES.glob("*.yml"))],
        "scrape_configs": [{"job_name": "rctl", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        str(prometheus_folder() / "bin" / "prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w+") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            found = Prometheus(address, log.name)
            until(lambda: process.poll() is None and found.ready(), "Prometheus to be ready", 60, SELDOM)
            yield found
        finally:
            process.terminate()
            process.wait(30)


class Prometheus:
    """A server's query API."""

    def __init__(self, address: str, log: str) -> None:
        self._address = address
        self._log = Path(log)

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def complaints(self) -> str:
        """All that it warned of so far."""
        return self._log.read_text()

    def get(self, path: str, **words: str) -> Any:
        """What the API answers."""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def query(self, text: str, at: float | None = None) -> list[Series]:
        """An instant query, now or at a time."""
        words = {"time": f"{at:.3f}"} if at else {}
        result = self.get("query", query=text, **words)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def next_scrape(self, after: float) -> float:
        """The time of a whole scrape that began after a time."""
        found: list[float] = []

        def scraped() -> bool:
            times = [value for _, value in self.query('timestamp(up{job="rctl"})')]
            found[:] = [value for value in times if value > after]
            return bool(found) and [value for _, value in self.query('up{job="rctl"}', found[0])] == [1]

        until(scraped, "the next scrape", 60, SELDOM)
        return found[0]

    def by_ve(self, at: float) -> dict[str, Figures]:
        """All families about VEs as they stood at a time."""
        found: dict[str, Figures] = {}
        for labels, value in self.query('{__name__=~"rctl_ve_.+"}', at):
            name = labels.pop("__name__")
            ve = labels.pop("ve")
            own = (
                "" if name == "rctl_ve_info" else "".join(v for k, v in labels.items() if k not in ("job", "instance"))
            )
            found.setdefault(ve, {})[name.removeprefix("rctl_ve_"), own] = value
        return found
