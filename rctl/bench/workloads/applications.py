"""Whole applications, as they run in VEs. Some need no installed program."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from .base import PROGRAMS, PYTHON, Kit, Repeated, Script, Workload, found
from .client_server import Served

_APPS = "applications"
_TEXT = """
import random
chance = random.Random(7)
words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(2000)]
with open("text", "w") as file:
    while file.tell() < 2 << 20:
        file.write(" ".join(chance.choices(words, k=12)) + chr(10))
"""
_SOURCE = "import subprocess, sys; subprocess.run(['cc', '-E', '-o', 'work.i', sys.argv[1] + '/work.c'], check=True)"
_NGINX = """daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{}}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""


def _nginx(port: int, folder: str) -> None:
    Path(folder, "nginx.conf").write_text(_NGINX.format(port=port, folder=folder))
    Path(folder, "index.html").write_text("x" * 4096)


def _of_time(text: str, count: int) -> float:
    """The built-in client prints nanoseconds."""
    return count / (int(text.split()[-1]) / 1e9)


def _wrk(text: str, _: int) -> float:
    """``Requests/sec:  1234.56``"""
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0])


def _wrk_done(text: str, count: int) -> float:
    """The last of the numbers in ``3155 requests in 1.00s``."""
    return float(re.findall(r"(\d+) requests in ", text)[-1])


def _all_done(text: str, count: int) -> float:
    """The number of operations that the client was asked for."""
    return count


def _redis(text: str, _: int) -> float:
    """The last line of ``--csv``: the test's name, requests a second, and more."""
    return float(next(row[1] for row in csv.reader(reversed(text.strip().splitlines())) if len(row) > 1))


def _redis_server(port: int, _: str) -> tuple[str, ...]:
    return (str(found("redis-server")), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no")


def _redis_client(port: int, count: int, _: Kit) -> tuple[str, ...]:
    return ("redis-benchmark", "-p", str(port), "-n", str(count), "-c", "10", "-t", "set", "--csv")


ALL: tuple[Workload, ...] = (
    Script(
        "sqlite", _APPS, "a transaction of 50 inserts, an update and a select", 40, application=True, script="sqlite.py"
    ),
    Repeated(
        "compile with cc", _APPS, "cc -O1 -c of 330 lines and their headers, preprocessed", 1, ("cc",), True,
        command=("cc", "-O1", "-c", "-o", "work.o", "work.i"), files=_SOURCE,
    ),
    Repeated("gzip", _APPS, "gzip 2 MiB of text", 1, ("gzip",), True, command=("gzip", "-kf", "text"), files=_TEXT),
    Repeated(
        "zstd", _APPS, "zstd 2 MiB of text", 1, ("zstd",), True,
        command=("zstd", "-qfk", "--single-thread", "text"), files=_TEXT,
    ),
    Served(
        "HTTP, Python's server", _APPS, "GET of a page of 4 KiB, one connection; the client is outside", 250, (), True,
        server=lambda port, _: (*PYTHON, str(PROGRAMS / "httpd.py"), str(port)),
        client=lambda port, count, kit: (*kit.work, "http", str(count), str(port)),
        rate=_of_time,
    ),
    Served(
        "HTTP, nginx under wrk", _APPS, "GET of a file of 4 KiB, 8 connections; wrk is outside", 1,
        ("nginx", "wrk"), True,
        server=lambda _, folder: (str(found("nginx")), "-p", folder, "-c", f"{folder}/nginx.conf", "-e", "stderr"),
        client=lambda port, count, kit: ("wrk", "-t1", "-c8", "-d1s", f"http://127.0.0.1:{port}/"),
        rate=_wrk, done=_wrk_done, setting=_nginx, fixed=True,
    ),
    Served(
        "redis under redis-benchmark", _APPS, "SET, 10 connections; redis-benchmark is outside", 10000,
        ("redis-server", "redis-benchmark"), True,
        server=_redis_server, client=_redis_client, rate=_redis, done=_all_done, coarse=1e-3,
    ),
)  # fmt: skip
