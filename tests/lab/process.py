"""A child process that is watched: its output passed on, its time limited, its whole group ended."""

import io
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from tests.lab.base import LabError


@dataclass(frozen=True, slots=True)
class Ended:
    """How a watched process ended: its exit status, or None when the deadline ended it; its last words on stderr."""

    status: int | None
    complaint: str


def watch(command: Sequence[str], deadline: float, output: BinaryIO | None) -> Ended:
    """Run the command, its stdout passed on to `output` (None: dropped).

    Nothing of it is left running afterwards: neither past `deadline` seconds, nor on Ctrl-C, nor on SIGTERM.

    Raises:
        LabError: the program is not installed.
    """
    until = time.monotonic() + deadline
    errors = io.BytesIO()
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]}: not found. Install it: tests/lab/packages") from None
    with child, _ending(child):
        assert child.stdout is not None
        assert child.stderr is not None
        on_time = _pass_on({child.stdout.fileno(): output, child.stderr.fileno(): errors}, until)
        status = _wait(child, until) if on_time else None
    words = errors.getvalue().decode(errors="replace").strip().splitlines()
    return Ended(status, f": {words[-1]}" if words else "")


def _pass_on(pipes: dict[int, BinaryIO | None], until: float) -> bool:
    """Copy what arrives until every pipe ends; False when the time was up before."""
    with selectors.DefaultSelector() as selector:
        for pipe, target in pipes.items():
            selector.register(pipe, selectors.EVENT_READ, target)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                return False
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                elif key.data is not None:
                    key.data.write(data)
                    key.data.flush()
    return True


def _wait(child: subprocess.Popen[bytes], until: float) -> int | None:
    try:
        return child.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


@contextmanager
def _ending(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the child's whole group on the way out, whatever the way."""
    handles = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _exit) if handles else None
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if handles:
            signal.signal(signal.SIGTERM, before)


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
