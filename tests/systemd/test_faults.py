"""A change through systemd that ends in the middle: all is as before, or all as after, in the files and in systemd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rctl
from rctl.adjust.state_folder import default_state
from rctl.systemd.bus import Bus
from tests.kernel.killer import killed_at
from tests.systemd.helpers import done, drop_ins, held, unit

BEFORE = {"memory.max": "300M", "pids.max": 40}
AFTER = {
    "memory.max": "200M",
    "memory.swap.high": "50M",
    "cpu.weight": 50,
    "pids.max": 60,
    "cpu.max": 0.5,
    "cpu.burst": 20_000,
}
FILES = ("memory.max", "memory.high", "memory.swap.high", "cpu.weight", "cpu.max", "cpu.max.burst", "pids.max")
PROPERTIES = ("MemoryMax", "MemoryHigh", "CPUWeight", "CPUQuotaPerSecUSec", "TasksMax")
STEP = 1 if os.environ.get("RCTL_KILLS") == "all" else 2
AGAIN = (("daemon-reload",), ("daemon-reexec",), ())
"""What systemd does between the kill and rctl's recovery, by turns."""


@pytest.fixture
def app() -> Iterator[str]:
    with unit("app.service", "CPUWeight=77") as path:
        set_limits("app.service", BEFORE)
        yield path


def set_limits(name: str, limits: dict[str, Any]) -> None:
    with rctl.session() as session:
        session.adjust({name: limits})


def state(path: str) -> dict[str, Any]:
    """What the files hold, what systemd knows, and where it is stored."""
    name = path.rpartition("/")[2]
    with Bus() as bus:
        known = bus.get(name, "Service", PROPERTIES)
    return {"files": {file: held(path, file) for file in FILES}, "known": known, "stored": drop_ins(name)}


def recovered() -> None:
    with rctl.session() as session:
        session.recover()
    assert list(Path(default_state().journals).iterdir()) == []


def test_kill_at_any_moment_leaves_all_old_or_all_new(app: str) -> None:
    old = state(app)
    ends, at, turn = {"old": 0, "new": 0}, 1, 0
    while (ended := killed_at(at, lambda: set_limits("app.service", AFTER))).killed:
        if again := AGAIN[turn % len(AGAIN)]:
            done("systemctl", *again)
        recovered()
        now = state(app)
        if now == old:
            ends["old"] += 1
        else:
            assert now["files"]["memory.max"] == str(200 << 20), (at, ended.calls[-1])
            assert now["stored"] == sorted(["etc CPUQuota", "etc CPUQuotaPeriodSec", "etc CPUWeight", *old["stored"]])
            ends["new"] += 1
            with rctl.session() as session:
                session.undo()
            assert state(app) == old, (at, ended.calls[-1])
        at, turn = at + STEP, turn + 1
    assert ended.status == 0, ended.said
    assert ends["old"] > 0
    assert ends["new"] > 0


def test_a_unit_that_stops_in_mid_change_is_told_and_the_others_are_put_back(app: str) -> None:
    with unit("two.service") as two:
        old = state(app), held(two, "pids.max")
        done("systemctl", "stop", "two.service")
        said = subprocess.run(
            ["rctl", "set", "app.service", two, "pids.max=30"], capture_output=True, text=True, check=False
        )
        assert said.returncode == 1
        assert said.stderr.count("\n") == 1
        assert state(app) == old[0]
        done("systemctl", "start", "two.service")
        assert held(two, "pids.max") == old[1]


def test_root_needs_no_message_bus(app: str) -> None:
    without = "mount -t tmpfs tmpfs /run/dbus && exec rctl set app.service pids.max=33"
    done("unshare", "--mount", "sh", "-c", without)
    assert held(app, "pids.max") == "33"
