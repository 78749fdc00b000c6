"""The command that checks a VE, run for real."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from rctl.over_time.check_command import CheckCommand


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
