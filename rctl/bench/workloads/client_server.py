"""Servers and their clients: the server is on the measured side, the client is outside on both sides."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ..stage.place import Place, WorkError
from .base import Kit, Workload, nanoseconds, rated

READY, END = 60.0, 20.0
"""Seconds until a server must answer, or end."""
Words = Callable[[int, str], Sequence[str]]


class Done(Protocol):
    """The number of operations that a client did."""

    def __call__(self, text: str, count: int) -> float: ...


@dataclass(frozen=True)
class Served(Workload):
    """A server, started for each measurement, and a client that prints a rate.

    ``server``: its command, from a free port and the place's folder. ``client``: from port, count and kit.
    ``rate``: operations per second, from the client's output. ``done``: the number of operations, for a client that
    cannot count instructions: then its whole run counts, its start included. ``setting``: writes the server's
    configuration, if any.
    """

    server: Words = lambda port, folder: ()
    client: Callable[[int, int, Kit], Sequence[str]] = lambda port, count, kit: ()
    rate: Callable[[str, int], float] = lambda text, count: float(text)
    done: Done | None = None
    setting: Callable[[int, str], None] | None = None

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        port = free_port()
        if self.setting:
            self.setting(port, place.folder)
        with _running(place, self.server(port, place.folder), port):
            client = self.client(port, count, kit)
            if self.done and kit.outside.counts:
                output = kit.outside.run([*kit.work, "run", "1", *client])
                return nanoseconds(output) * count / rated(partial(self.done, count=count), output, self.name)
            output = kit.outside.run(client)
        return count / rated(lambda text: self.rate(text, count), output, self.name)


def free_port() -> int:
    """A free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@contextmanager
def _running(place: Place, command: Sequence[str], port: int) -> Iterator[None]:
    """The server, ready to answer. It is always ended afterwards. Raises WorkError if it does not start."""
    server = place.start(command)
    try:
        _wait(server, port, command[0])
        yield
    finally:
        server.terminate()
        try:
            server.communicate(timeout=END)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()


def _wait(server: subprocess.Popen[str], port: int, name: str) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        if server.poll() is not None:
            told = " ".join(" ".join(server.communicate()).split()[-30:])
            raise WorkError(f"{os.path.basename(name)}: ended with {server.returncode}: {told}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise WorkError(f"{os.path.basename(name)}: no answer on port {port} within {READY:g} s")
