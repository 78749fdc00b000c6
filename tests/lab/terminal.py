"""A terminal of the guest on this one: a virtio console, joined to the standard streams through a socket."""

import os
import select
import socket
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.base import LabError

SCRIPT = "tests/lab/shell"
BOOT = 120.0
"""Seconds until the guest's socket must be there."""


def check() -> None:
    """Raises LabError without a terminal to join."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError("shell: needs a terminal. For one command: python -m tests.lab run -- COMMAND")


def command() -> list[str]:
    """What the guest runs: a shell on its console, of this terminal's kind and size."""
    size = os.get_terminal_size()
    return ["sh", SCRIPT, os.environ.get("TERM", "linux"), str(size.lines), str(size.columns)]


def joined(path: Path, run: Callable[[], int]) -> int:
    """Run the guest while its terminal, the socket at ``path``, is joined to this one. Returns the guest's status.

    Keys go to the guest as they are, Ctrl-C too; the guest's end is the end.
    """
    ended: list[int | BaseException] = []

    def guest() -> None:
        try:
            ended.append(run())
        except BaseException as error:  # noqa: BLE001 (it is raised again below)
            ended.append(error)

    thread = threading.Thread(target=guest, daemon=True)
    thread.start()
    with _connected(path, thread) as wire, _raw():
        _relay(wire, thread)
    thread.join()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@contextmanager
def _connected(path: Path, guest: threading.Thread) -> Iterator[socket.socket | None]:
    with socket.socket(socket.AF_UNIX) as wire:
        until = time.monotonic() + BOOT
        while guest.is_alive() and time.monotonic() < until:
            try:
                wire.connect(str(path))
            except OSError:
                guest.join(0.1)
                continue
            yield wire
            return
        yield None


@contextmanager
def _raw() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _relay(wire: socket.socket | None, guest: threading.Thread) -> None:
    """Copy both ways until the guest hangs up."""
    ends = {sys.stdin.fileno(): wire, wire: sys.stdout.fileno()} if wire else {}
    while ends:
        ready = select.select(list(ends), [], [], 0.5)[0]
        if not ready and not guest.is_alive():
            return
        for end in ready:
            data = os.read(end if isinstance(end, int) else end.fileno(), 65536)
            if not data:
                return
            target = ends[end]
            os.write(target, data) if isinstance(target, int) else target.sendall(data)
