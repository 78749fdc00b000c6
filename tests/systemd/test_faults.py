"""A change through systemd that ends in the middle: all is as before, or all as after, in the files and in systemd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rctl
from rctl.adjust.state_folder import default_state
from rctl.adjust.steps import Set
from rctl.adjust.writers import systemd
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import RctlError, RollbackError
from rctl.systemd import bus
from tests.systemd.helpers import done, drop_ins, held, ran, unit
from tests.systemd.kills import kills

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


@pytest.fixture
def app() -> Iterator[str]:
    with unit("app.service", "CPUWeight=77") as path:
        set_limits("app.service", BEFORE)
        yield path


def set_limits(name: str, limits: dict[str, Any]) -> None:
    with rctl.session() as session:
        session.adjust({name: limits})


def undo() -> None:
    with rctl.session() as session:
        session.undo()


def state(path: str) -> dict[str, Any]:
    """What the files hold, what systemd knows, and where it is stored."""
    name = path.rpartition("/")[2]
    with bus.Bus() as wire:
        known = wire.get(name, "Service", PROPERTIES)
    return {"files": {file: held(path, file) for file in FILES}, "known": known, "stored": drop_ins(name)}


def recovered() -> None:
    with rctl.session() as session:
        session.recover()
    assert list(Path(default_state().journals).iterdir()) == []


def test_kill_at_any_moment_leaves_all_old_or_all_new(app: str) -> None:
    old = state(app)
    ends = {"old": 0, "new": 0}
    for kill in kills(lambda: set_limits("app.service", AFTER), undo, recovered):
        now = state(app)
        if now == old:
            ends["old"] += 1
        else:
            assert now["files"]["memory.max"] == str(200 << 20), kill
            assert now["stored"] == sorted(["etc CPUQuota", "etc CPUQuotaPeriodSec", "etc CPUWeight", *old["stored"]])
            ends["new"] += 1
            undo()
            assert state(app) == old, kill
    assert min(ends.values()) > 0, ends


def test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not(app: str) -> None:
    before = state(app)
    set_limits("app.service", AFTER)
    after = state(app)
    ends = {"done": 0, "not": 0}
    for kill in kills(undo, lambda: set_limits("app.service", AFTER), recovered):
        now = state(app)
        assert now in (before, after), kill
        ends["done" if now == before else "not"] += 1
        if now == before:
            set_limits("app.service", AFTER)
    assert min(ends.values()) > 0, ends


@contextmanager
def after_a_write(monkeypatch: pytest.MonkeyPatch, of: str, then: Callable[[], object]) -> Iterator[None]:
    """Something happens just after rctl has told systemd the limits of a unit."""
    write = systemd.write

    def write_and_then(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
        notes = write(cgroup, steps)
        if cgroup.path.endswith(of):
            then()
        return notes

    with monkeypatch.context() as patched:
        patched.setattr(systemd, "write", write_and_then)
        yield


def test_a_unit_that_stops_in_mid_change_is_told_and_the_others_are_put_back(
    app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit("two.service"):
        old = state(app)
        stop = after_a_write(monkeypatch, "app.service", lambda: done("systemctl", "stop", "two.service"))
        with stop, pytest.raises(RctlError, match=r"two\.service") as failure, rctl.session() as session:
            session.adjust({name: {"pids.max": 30} for name in ("app.service", "two.service")})
        assert not isinstance(failure.value, RollbackError)
        assert state(app) == old
        assert drop_ins("two.service") == []


@pytest.mark.parametrize("again", ["daemon-reload", "daemon-reexec"])
def test_systemd_is_loaded_anew_in_mid_change(app: str, monkeypatch: pytest.MonkeyPatch, again: str) -> None:
    with unit("two.service") as two:
        with after_a_write(monkeypatch, "app.service", lambda: done("systemctl", again)), rctl.session() as session:
            session.adjust({name: {"pids.max": 30} for name in ("app.service", "two.service")})
        assert held(app, "pids.max") == held(two, "pids.max") == "30"
        undo()
        assert (held(app, "pids.max"), drop_ins("two.service")) == ("40", [])


def test_without_systemds_socket_nothing_is_changed(app: str) -> None:
    old = state(app)
    without = "mount --bind /dev/null /run/systemd/private && exec rctl set app.service pids.max=33"
    said = done("unshare", "--mount", "sh", "-c", without, status=1)
    assert said.startswith("rctl: systemd cannot be reached at /run/systemd/private: ")
    assert said.count("\n") == 1
    assert state(app) == old


def test_systemd_is_lost_in_mid_change_and_recovery_waits_for_it(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose() -> None:
        monkeypatch.setattr(bus, "PRIVATE", "/run/systemd/nobody")
        done("systemctl", "daemon-reexec")  # which closes the connections

    with unit("two.service"):
        old = state(app)
        lost = after_a_write(monkeypatch, "app.service", lose)
        with lost, pytest.raises(RollbackError), rctl.session() as session:
            session.adjust({name: {"pids.max": 30} for name in ("app.service", "two.service")})
        assert ran("recover").status == 3
        monkeypatch.undo()
        recovered()
        assert state(app) == old
        assert drop_ins("two.service") == []


def test_root_needs_no_message_bus(app: str) -> None:
    without = "mount -t tmpfs tmpfs /run/dbus && exec rctl set app.service pids.max=33"
    done("unshare", "--mount", "sh", "-c", without)
    assert held(app, "pids.max") == "33"
