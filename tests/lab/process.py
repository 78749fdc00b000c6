"""A child process that is watched: its output passed on, its time limited, its whole group ended."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, NoReturn

from tests.lab.base import LabError


def watch(
    command: Sequence[str], deadline: float, output: BinaryIO | None, errors: BinaryIO, *, env: Mapping[str, str]
) -> bool:
    """Run the command, its stdout passed on to `output` (None: dropped), its stderr to `errors`.

    Nothing of it is left running afterwards: neither past `deadline` seconds, nor on Ctrl-C, nor on SIGTERM.

    Returns:
        Whether it ended before the deadline.

    Raises:
        LabError: the program is not installed.
    """
    until = time.monotonic() + deadline
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=env, start_new_session=True
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]}: not found. Install it: tests/lab/packages") from None
    with child, _ending(child):
        assert child.stdout is not None
        assert child.stderr is not None
        return _pass_on({child.stdout.fileno(): output, child.stderr.fileno(): errors}, until) and _ends(child, until)


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


def _ends(child: subprocess.Popen[bytes], until: float) -> bool:
    try:
        child.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


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
