"""A place to type rctl's commands in, on a fake kernel with two VEs; ``shell`` is the fixture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rctl import cli
from rctl.cgroupfs import devices
from rctl.console import output
from tests.unit.fake_kernel import FakeKernel, state_folder


class Shell(NamedTuple):
    """A place to type commands in."""

    kernel: FakeKernel
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    state: str

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        self.monkeypatch.setattr("sys.argv", ["rctl", *words])
        self.monkeypatch.setattr(output, "_quiet", False)  # as in a new process
        status = cli._status()
        out, err = self.capture.readouterr()
        return status, out, err

    def refused(self, *words: str, status: int = 2) -> str:
        """The one line of a command that must fail and change nothing."""
        before = self.kernel.limits()
        given, out, err = self.run(*words)
        assert (given, out) == (status, ""), err
        assert err.startswith("rctl: ")
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1, err
        assert "Traceback" not in err
        assert self.kernel.limits() == before
        assert not os.path.exists(f"{self.state}/history.jsonl")
        return err


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(101,))
    kernel.make("/rctl-web2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "resolve", _resolve)
    monkeypatch.setattr(devices, "lasting_name", lambda number: "sda" if number == "8:0" else number)
    monkeypatch.setattr(output, "_quiet", False)
    monkeypatch.delenv("RCTL_TREE", raising=False)
    with state_folder() as state, kernel.installed():
        monkeypatch.setenv("RCTL_STATE", state.keep)
        yield Shell(kernel, tmp_path, monkeypatch, capsys, state.keep)


def _resolve(name: str, real: object = devices.resolve) -> str:
    return "8:0" if name in ("sda", "8:0") else real(name)  # type: ignore[operator, no-any-return]
