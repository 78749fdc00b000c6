"""A child of the benchmark that works inside a VE, and reports the times of events, on the clock that both share."""

from __future__ import annotations

import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from ...cgroupfs.cgroup import Cgroup
from ...signals import STOPS, undisturbed
from ...ve.attach import enter
from .place import WorkError

Work = Callable[[], Iterator[int]]
"""The work of a child: it yields once when it is ready, and then the time (``now()``) of each event."""

now = time.monotonic_ns
_STAMP = struct.Struct("q")


class Worker:
    """The child, for its parent: ``pid``, and the pipe with its reports."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid, self.pipe = pid, pipe

    def report(self, seconds: float) -> int | None:
        """The time in its next report; ``None`` if it died. Raises WorkError if none comes within ``seconds``."""
        if not select.select([self.pipe], [], [], seconds)[0]:
            raise WorkError(f"nothing was felt within {seconds:g} s")
        text = os.read(self.pipe, _STAMP.size)
        return _STAMP.unpack(text)[0] if text else None


@contextmanager
def working(ve: Cgroup, work: Work, seconds: float = 60.0) -> Iterator[Worker]:
    """A child that does the work inside the VE, ready to be measured; it is ended with the block.

    Raises WorkError if it is not ready within ``seconds``.
    """
    pipe, report = os.pipe()
    pid = 0
    try:
        with undisturbed() as before:
            pid = os.fork()
            if not pid:
                _child(ve, work, report, before)
            os.close(report)
        worker = Worker(pid, pipe)
        if worker.report(seconds) is None:
            raise WorkError("the worker could not start in the VE")
        yield worker
    finally:
        if pid:
            _end(pid)
        os.close(pipe)


def _child(ve: Cgroup, work: Work, report: int, mask: set[int]) -> NoReturn:
    try:
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        enter(ve)
        for stamp in work():
            os.write(report, _STAMP.pack(stamp))
    except BaseException:  # noqa: BLE001 (the child must never return into the benchmark's own code)
        os._exit(1)
    os._exit(0)


def _end(pid: int) -> None:
    with undisturbed():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
