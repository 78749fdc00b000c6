"""Ten thousand scrapes of a real exporter: memory must be flat over the second half, descriptors as at the start.

    python -m tests.exporter_soak [--scrapes N] [-- COMMAND...]

COMMAND: an exporter that says where it listens; unset: ``rctl exporter serve``. Exit status 1 when it grew.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.unit.web_server import Client

COMMAND = [sys.executable, "-m", "rctl", "exporter", "serve", "--listen", "127.0.0.1:0"]
FLAT_KIB = 1024
"""The allocator's own grain; a leak of 100 bytes a scrape would show as more."""


def size(pid: int) -> tuple[int, int]:
    """Resident KiB and descriptors of a process."""
    with open(f"/proc/{pid}/status") as lines:
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return resident, len(os.listdir(f"/proc/{pid}/fd"))


def settled(pid: int, descriptors: int) -> tuple[int, int]:
    """The same when the connections that clients left are closed; as it is after five seconds when they stay."""
    deadline = time.monotonic() + 5
    while (found := size(pid))[1] > descriptors and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def kept(port: int, count: int) -> None:
    with Client(port) as client:
        for _ in range(count):
            assert client.get(accept_encoding="gzip").status == 200


def anew(port: int, count: int) -> None:
    for _ in range(count):
        with Client(port) as client:
            assert client.get(accept="application/openmetrics-text").status == 200


def leaving(port: int, count: int) -> None:
    for number in range(count):
        with Client(port) as client:
            client.send((b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /met", b"\0\n", b"")[number % 4])


def load(port: int, count: int) -> None:
    """Scrapes over one connection, over new ones, at the same time, and by clients that do not wait for the answer."""
    kept(port, count // 2)
    anew(port, count // 5)
    with ThreadPoolExecutor(50) as clients:
        for done in [clients.submit(kept, port, 1) for _ in range(count // 5)]:
            done.result()
    leaving(port, count // 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=10_000)
    parser.add_argument("command", nargs="*", default=COMMAND)
    given = parser.parse_args()
    with subprocess.Popen(given.command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = process.stderr.readline()
            found = re.search(r":(\d+)/metrics", line)
            if not found:
                sys.stderr.write(line)
                return 1
            port, part = int(found[1]), given.scrapes // 10
            kept(port, 1)
            sizes = [size(process.pid)]
            for number in range(10):
                begin = time.monotonic()
                load(port, part)
                sizes.append(settled(process.pid, sizes[0][1]))
                took = time.monotonic() - begin
                print(f"{(number + 1) * part:7} scrapes  {sizes[-1][0]:7} KiB  {sizes[-1][1]:4} fds  {took:.1f} s")
        finally:
            process.terminate()
    flat = sizes[10][0] - sizes[5][0] <= FLAT_KIB and sizes[10][1] <= sizes[0][1]
    print("flat" if flat and process.returncode == 0 else f"not flat, or ended with {process.returncode}")
    return 0 if flat and process.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
