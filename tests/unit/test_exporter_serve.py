"""``rctl exporter`` as a process: its flags, its errors, its first line and its end."""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from rctl_exporter import serve
from rctl_exporter.request_filter import ALL
from rctl_exporter.settings import Settings
from rctl_exporter.web.listen import Address
from rctl_exporter.web.log import Log

from .web_server import PATIENCE, Client

SERVE = """
import contextlib, sys
from rctl.cli import main
import rctl_exporter.serve as serving

serving._scraper = lambda settings, log: contextlib.nullcontext(lambda openmetrics, only: [b"up 1\\n"])
sys.argv[1:1] = ["exporter", "serve"]
main()
"""
"""The real command with all but the kernel's files."""


@contextmanager
def started(*words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", SERVE, *words]
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    return process.stderr.readline()


def port_of(line: str) -> int:
    found = re.fullmatch(r"rctl-exporter: listening on https?://127\.0\.0\.1:(\d+)/metrics\n", line)
    assert found, line
    return int(found[1])


class TestServe:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_says_where_it_listens_and_ends_when_told(self, number: signal.Signals) -> None:
        with started("--listen", "127.0.0.1:0") as process:
            with Client(port_of(first_line(process))) as client, Client(client.socket.getpeername()[1]):
                assert client.get().body == b"up 1\n"
                process.send_signal(number)
                out, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, out, err) == (0, "", "")

    def test_beyond_this_host_without_protection_it_warns(self) -> None:
        with started("--listen", "0.0.0.0:0") as process:
            assert first_line(process).startswith("rctl-exporter: listening on http://0.0.0.0:")
            assert "there is no TLS, and there are no users. See --web.config.file" in first_line(process)

    def test_it_serves_several_addresses(self) -> None:
        with started("--listen", "127.0.0.1:0", "--listen", "localhost:0") as process:
            for _ in range(2):
                with Client(port_of(first_line(process))) as client:
                    assert client.get("/-/healthy").status == 200

    def test_it_tells_systemd_when_it_is_ready_and_when_it_ends(self, tmp_path: Path) -> None:
        place = str(tmp_path / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(place)
            channel.settimeout(PATIENCE)
            with started("--listen", "127.0.0.1:0", NOTIFY_SOCKET=place) as process:
                assert channel.recv(100) == b"READY=1"
                process.terminate()
                assert channel.recv(100) == b"STOPPING=1"
                assert process.wait(PATIENCE) == 0


class TestErrors:
    def fails(self, *words: str, status: int) -> str:
        with started(*words) as process:
            out, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, out) == (status, "")
            assert re.fullmatch(r"rctl: [^\n]+\n", err), err
            return err

    def test_flags_that_cannot_be(self, tmp_path: Path) -> None:
        bad = tmp_path / "web.yml"
        bad.write_text("tls_server_config:\n  cert: x\n  typo: y\n")
        for words, told in (
            (["--listen", "node1:19939"], "--listen 'node1:19939': not an IP address and a port"),
            (["--collect", "cpus"], "'cpus' is no profile"),
            (["--profile", "all"], "no such profile"),
            (["--include", "a/b"], "names hold no slash"),
            (["--kept-fds", "many"], "'many' is not a whole number"),
            (["--web.config.file", str(bad)], f"{bad}:3: tls_server_config: unknown field typo. Use cert_file, "),
            (["--web.config.file", "/none"], "/none: cannot be read: No such file"),
            (["--what"], "has no such option"),
        ):
            assert told in self.fails(*words, status=2)

    def test_a_port_in_use(self) -> None:
        with Address("127.0.0.1", 0).open() as taken:
            port = taken.getsockname()[1]
            assert "another process listens there" in self.fails("--listen", str(port), status=1)


def test_rctl_exporter_is_the_same_command() -> None:
    command = [sys.executable, "-m", "rctl_exporter", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "exporter serve [OPTIONS]" in done.stdout
    assert "--web.config.file" in done.stdout


def test_write_refuses_standard_output_before_it_reads_anything() -> None:
    command = [sys.executable, "-m", "rctl", "exporter", "write", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rctl: -: not a file. Print the page with rctl exporter once\n"


def test_nothing_looks_for_garbage_during_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []

    class Scraper(nullcontext[None]):
        trouble = None

        def __init__(self, *_: object) -> None:
            super().__init__(self)  # type: ignore[arg-type]

        def scrape(self, *_: object) -> list[bytes]:
            looked.append(gc.isenabled())
            if len(looked) == 3:
                raise OSError
            return []

    monkeypatch.setattr("rctl_exporter.scrape.Scraper", Scraper)
    monkeypatch.setattr("rctl.api.session.Session", lambda: nullcontext(SimpleNamespace(site=None)))
    monkeypatch.setattr("rctl.cgroupfs.files.allow_open_files", lambda: None)
    with serve._scraper(Settings(), Log()) as page:
        for _ in range(2):
            page(False, ALL)
            assert gc.isenabled()
        with pytest.raises(OSError, match=r"^$"):
            page(False, ALL)
    assert gc.isenabled()
    assert looked == [False] * 3
    gc.unfreeze()
