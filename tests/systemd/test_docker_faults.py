"""A change through docker that ends in the middle: all old or all new, in the files and in what docker has stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import rctl
from rctl.adjust.state_folder import default_state
from rctl.adjust.steps import Set
from rctl.adjust.writers import docker
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import RctlError, RollbackError
from tests.kernel.killer import killed_at
from tests.systemd.dockers import Web, dockerd
from tests.systemd.helpers import done, held, ran
from tests.systemd.kills import kills, moments

BEFORE = {"memory.max": "300M", "memory.swap.max": "100M", "pids.max": 40, "cpu.max": 1}
AFTER = {"memory.max": "200M", "memory.swap.max": "200M", "memory.high": "150M", "pids.max": 60, "cpu.max": 0.5}
FILES = ("memory.max", "memory.swap.max", "memory.high", "cpu.max", "pids.max")
STORED = ("Memory", "MemorySwap", "CpuQuota", "PidsLimit")
M = 1 << 20


@pytest.fixture(scope="module")
def one() -> Iterator[Web]:
    made = Web()
    set_limits(BEFORE)
    yield made
    made.remove()


@pytest.fixture
def web(one: Web) -> Web:
    """A container that runs, with BEFORE alone: each test ends so, but perhaps with the container stopped."""
    dockerd("POST", f"/containers/{one.id}/start")
    assert held(one.path, "memory.max") == str(300 * M)
    return one


def set_limits(limits: dict[str, Any]) -> None:
    with rctl.session() as session:
        session.adjust({"docker:web": limits})


def undo() -> None:
    with rctl.session() as session:
        session.undo()


def state(web: Web) -> tuple[dict[str, str], Any]:
    """What the files hold, and what docker has stored."""
    return web.files(FILES), web.stored(*STORED)


def recovered() -> list[str]:
    with rctl.session() as session:
        told = list(session.recover())
    assert list(Path(default_state().journals).iterdir()) == []
    return told


def test_kill_at_any_moment_leaves_all_old_or_all_new(web: Web) -> None:
    old = state(web)
    ends = {"old": 0, "new": 0}
    for kill in kills(lambda: set_limits(AFTER), undo, recovered):
        now = state(web)
        if now == old:
            ends["old"] += 1
        else:
            assert now[0]["memory.high"] == str(150 * M), kill
            assert now[1] == {"Memory": 200 * M, "MemorySwap": 400 * M, "CpuQuota": 50000, "PidsLimit": 60}
            ends["new"] += 1
            undo()
            assert state(web) == old, kill
    assert min(ends.values()) > 0, ends


def test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not(web: Web) -> None:
    before = state(web)
    set_limits(AFTER)
    after = state(web)
    ends = {"done": 0, "not": 0}
    for kill in kills(undo, lambda: set_limits(AFTER), recovered):
        now = state(web)
        assert now in (before, after), kill
        ends["done" if now == before else "not"] += 1
        if now == before:
            set_limits(AFTER)
    undo()
    assert state(web) == before
    assert min(ends.values()) > 0, ends


def killed_after_dockers_part() -> None:
    """Kill a change when docker has stored its part, and its journal is still open."""
    part = part_of_docker()
    assert killed_at(part, lambda: set_limits(AFTER)).killed


@cache
def part_of_docker() -> int:
    """The call before which docker has stored its part, and the journal is still open."""

    def stored() -> Any:
        return dockerd("GET", "/containers/web/json")["HostConfig"]["Memory"]

    for at in moments(lambda: set_limits(AFTER), undo):
        assert killed_at(at, lambda: set_limits(AFTER)).killed
        if stored() == 200 * M:
            recovered()
            if stored() == 200 * M:  # all was done
                undo()
            return at
        recovered()
    pytest.fail("docker had no part of the change")


@pytest.mark.parametrize("meanwhile", ["restart", "stop"])
def test_a_container_that_stops_before_recovery_has_its_stored_limits_back(web: Web, meanwhile: str) -> None:
    old = web.stored(*STORED)
    killed_after_dockers_part()
    dockerd("POST", f"/containers/web/{meanwhile}?t=0")
    assert any("rolled back" in line for line in recovered())
    assert web.stored(*STORED) == old


def test_dockerd_is_restarted_before_recovery(web: Web) -> None:
    old = web.stored(*STORED)
    killed_after_dockers_part()
    done("systemctl", "restart", "docker")  # which ends its containers
    recovered()
    assert web.stored(*STORED) == old


def test_a_stopped_dockerd_is_started_by_its_socket_for_the_recovery(web: Web) -> None:
    old = web.stored(*STORED)
    killed_after_dockers_part()
    done("systemctl", "stop", "docker.service")
    recovered()
    assert web.stored(*STORED) == old


def test_without_docker_nothing_is_changed_and_recovery_waits_for_it(web: Web) -> None:
    old = web.stored(*STORED)
    killed_after_dockers_part()
    done("systemctl", "stop", "docker.socket", "docker.service")
    try:
        said = ran("recover")
        assert said.status == 3
        assert "docker: no answer at /run/docker.sock" in said.err
    finally:
        done("systemctl", "start", "docker.socket", "docker.service")
    recovered()
    assert web.stored(*STORED) == old


@pytest.mark.parametrize("by", ["itself", "a restart of dockerd"])
def test_a_container_that_stops_in_mid_change_is_told_and_keeps_what_docker_had(
    web: Web, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    old, write = web.stored(*STORED), docker.write

    def and_then_its_end(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
        notes = write(cgroup, steps)
        assert web.stored(*STORED) != old
        web.kill() if by == "itself" else done("systemctl", "restart", "docker")
        return notes

    monkeypatch.setattr(docker, "write", and_then_its_end)
    with pytest.raises(RctlError) as failure:
        set_limits(AFTER)
    assert not isinstance(failure.value, RollbackError)
    assert web.stored(*STORED) == old


def test_undo_after_a_restart_takes_back_what_docker_had_stored(web: Web) -> None:
    old = state(web)
    set_limits(AFTER)
    web.restart()
    assert held(web.path, "memory.max") == str(200 * M)
    assert held(web.path, "memory.high") == "max"
    undo()
    assert state(web) == old
