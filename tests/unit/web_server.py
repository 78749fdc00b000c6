"""The exporter's web server in this process, on a real socket of loopback, and a client that may misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from rctl_exporter.web.connection import Deadlines
from rctl_exporter.web.hosts import Hosts
from rctl_exporter.web.listen import Address
from rctl_exporter.web.log import Log
from rctl_exporter.web.metrics import MakePage, Metrics
from rctl_exporter.web.reload import Live
from rctl_exporter.web.routes import WebSite
from rctl_exporter.web.server import CONNECTIONS, Server

PATIENCE = 10.0
"""Seconds after which a test has failed; nothing waits for as long when all is well."""


def tiny(openmetrics: bool, only: object) -> Sequence[bytes]:
    return [b"up 1\n", b"# EOF\n" if openmetrics else b""]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """A connection that sends what it is told, byte for byte."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        if context:
            try:
                self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
            except BaseException:
                self.socket.close()
                raise
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self, method: str = "GET") -> Reply:
        """The next answer. Raises EOFError where the server ends without one."""
        first = self._file.readline()
        if not first:
            raise EOFError
        status = int(first.split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        size = 0 if method == "HEAD" else int(headers["content-length"])
        return Reply(status, headers, self._file.read(size))

    def get(self, path: str = "/metrics", method: str = "GET", **headers: str) -> Reply:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return self.reply(method)

    def ended(self) -> bool:
        """Wait for the server's end of the connection; whether nothing came before."""
        try:
            return self._file.read(1) == b""
        except OSError:
            return True


class Served(NamedTuple):
    port: int
    log: io.StringIO
    stop: Callable[[], None]
    server: Server

    def client(self, context: ssl.SSLContext | None = None) -> Client:
        return Client(self.port, context)

    def get(self, path: str = "/metrics", context: ssl.SSLContext | None = None, **headers: str) -> Reply:
        with self.client(context) as client:
            return client.get(path, **headers)


@contextlib.contextmanager
def serving(
    page: MakePage = tiny,
    config: str | None = None,
    deadlines: Deadlines | None = None,
    most: int = CONNECTIONS,
    hosts: Sequence[str] = ("a",),
) -> Iterator[Served]:
    """A server in a thread of its own; it must end cleanly when the block does."""
    text = io.StringIO()
    log = Log(text)
    with ThreadPoolExecutor(1, "passwords") as passwords, Address("127.0.0.1", 0).open() as listener:
        live = Live(config, log, passwords)
        metrics = Metrics(page)
        server = Server([listener], WebSite(metrics, log, Hosts(hosts)), live, log, deadlines=deadlines, most=most)
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        def run() -> None:
            with contextlib.closing(loop):
                loop.run_until_complete(server.run(stop))

        thread = threading.Thread(target=run)
        thread.start()

        def end() -> None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stop.set)
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the server does not end"

        try:
            yield Served(listener.getsockname()[1], text, end, server)
        finally:
            end()
            metrics.close()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
