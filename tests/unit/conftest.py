"""Unit tests give the same answer every time: hypothesis draws from a fixed seed and no test is timed."""

import fcntl
import os
import resource
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background commands with SIGINT ignored
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

from tests.unit.shell import shell  # noqa: E402, F401 (a fixture for all)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass."""
    now = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])

    def passed(seconds: float) -> None:
        now[0] += seconds

    return passed


@pytest.fixture
def high_descriptors() -> Iterator[None]:
    """As in a process with many open files: the next descriptors are above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    null = os.open(os.devnull, os.O_RDONLY)
    taken = [null]
    while taken[-1] < 1024:
        taken.append(fcntl.fcntl(null, fcntl.F_DUPFD, taken[-1]))
    yield
    for fd in taken:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
