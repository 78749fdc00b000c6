"""The command that checks a VE, run for real."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import subprocess
from collections.abc import Iterator

import pytest

from rctl.over_time.check_command import CheckCommand


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


def test_a_process_may_have_many_open_files(high_descriptors: None) -> None:
    assert dict(CheckCommand(("false",), 20.0).run({"web1": {}})) == {"web1": "exit status 1"}


def test_a_command_that_cannot_be_waited_for_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*words: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(real(*words, **more))  # type: ignore[call-overload]
        return started[-1]

    def refused(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("os.pidfd_open", refused)
    ((ve, why),) = CheckCommand(("sleep", "100"), 20.0).run({"web1": {}})
    assert (ve, why) == ("web1", "sleep: Too many open files")
    assert started[0].poll() is not None
