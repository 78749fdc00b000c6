"""The demo runs on a host that systemd runs, without a virtual machine and with nothing prepared."""

from __future__ import annotations

import subprocess
import sys

from tests.systemd.helpers import MOUNT


def test_the_demo_runs_here_and_leaves_nothing() -> None:
    before = (MOUNT / "cgroup.subtree_control").read_text()
    done = subprocess.run([sys.executable, "examples/demo.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lab" not in done.stdout
    assert list(MOUNT.glob("rctl-*")) == []
    assert (MOUNT / "cgroup.subtree_control").read_text() == before
