"""podman 5 stores the limits that rctl sets, if it listens: they outlast a restart; undo puts its own back.

One container serves all tests. Each ends with the limits with which it was started.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rctl as rctl_python
from rctl.adjust.state_folder import default_state
from rctl.containers import unix_http
from rctl.errors import KernelError, NotAvailableError
from tests.kernel.killer import killed_at
from tests.systemd.helpers import AS_ALICE, MOUNT, as_user, done, held, rctl
from tests.systemd.kills import ALL, kills
from tests.systemd.test_podman import ALICES, RUN

M = 1 << 20
SOCKET = "/run/podman/podman.sock"
STORES = [int(part) for part in done("podman", "--version").split()[-1].split(".")[:2]] >= [5, 4]
EVERY = {
    "memory.max": "128M", "memory.swap.max": "64M", "memory.high": "100M", "memory.low": "20M", "cpu.max": "0.5",
    "cpu.weight": "50", "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "30",
}  # fmt: skip
SHOWN = {
    "memory.max": "134217728", "memory.swap.max": "67108864", "memory.high": "104857600", "memory.low": "20971520",
    "cpu.max": "50000 100000", "cpu.weight": "50", "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "30",
}  # fmt: skip
NONE = {"memory.max": "max", "memory.swap.max": "max", "cpu.max": "max 100000", "pids.max": "max"}
OLD = {
    "memory.max": "104857600", "memory.swap.max": "104857600", "memory.high": "max", "memory.low": "0",
    "cpu.max": "100000 100000", "cpu.weight": "100", "pids.max": "2048",
}  # fmt: skip
STORED = ("Memory", "MemorySwap", "MemoryReservation", "CpuQuota", "CpuPeriod", "CpuShares", "PidsLimit")
only_if_it_stores = pytest.mark.skipif(not STORES, reason="this podman stores no limits")


class Shop:
    """A container named shop, of root's podman."""

    def __init__(self) -> None:
        self.id = done(*RUN, "-m", "100m", "--cpus", "1", "box", "sleep", "1000").strip()
        self.scope = f"/machine.slice/libpod-{self.id}.scope"
        self.path = f"{self.scope}/container"

    def ask(self, method: str, what: str, body: Any = None) -> tuple[int, Any]:
        """The status and the body of podman's answer."""
        path, data = f"/v4.0.0/libpod/containers/{self.id}/{what}", json.dumps(body).encode() if body else b""
        answer = unix_http.ask(SOCKET, method, path, data, seconds=60)
        return answer.status, answer.body

    def update(self, **body: Any) -> int:
        """Update it without rctl. The status of podman's answer."""
        return self.ask("POST", "update", body)[0]

    def stored(self) -> dict[str, Any]:
        """What podman has stored."""
        config = json.loads(self.ask("GET", "json")[1])["HostConfig"]
        return {name: config[name] for name in STORED}

    def restart(self) -> None:
        done("podman", "restart", "-t", "0", "shop")

    def files(self, *names: str) -> dict[str, str]:
        return {name: held(self.path, name) for name in names or SHOWN}

    def state(self) -> tuple[dict[str, Any], dict[str, str]]:
        return self.stored(), self.files(*OLD)


def start(*options: str) -> None:
    done("systemctl", *options, "start", "podman.socket")


def stop(*options: str) -> None:
    done("systemctl", *options, "stop", "podman.socket", "podman.service")


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    active = subprocess.run(["systemctl", "is-active", "--quiet", "podman.socket"], check=False).returncode == 0
    start()  # Debian 13 does not
    try:
        yield Shop()
    finally:
        done("podman", "rm", "-f", "-t", "0", "shop")
        if not active:
            stop()


def adjust(limits: dict[str, Any], **options: Any) -> tuple[str | None, str]:
    """The id of the adjustment, and its steps and notes."""
    with rctl_python.session() as session:
        account = session.adjust({"podman:shop": limits}, **options)
    steps = [step.describe() for outcome in account.outcomes for step in outcome.steps]
    return account.id, "\n".join([*steps, *account.notes])


def undo() -> str:
    """The notes of an undo."""
    with rctl_python.session() as session:
        [undone] = session.undo()
    assert undone.account is not None
    return "\n".join(undone.account.notes)


@pytest.mark.skipif(STORES, reason="this podman stores limits")
def test_an_older_podman_is_not_asked_to_store(shop: Shop) -> None:
    _, said = adjust({"memory.max": "200M"})
    assert "podman does not store these limits: memory.max" in said
    assert "through podman" not in said
    assert held(shop.path, "memory.max") == str(200 * M)
    undo()
    assert held(shop.path, "memory.max") == str(100 * M)


@only_if_it_stores
def test_every_limit_that_podman_has_outlasts_a_restart_and_undo_puts_its_own_back(shop: Shop) -> None:
    old = shop.state()
    _, said = adjust(EVERY | {"cpu.burst": "1ms"}, dry_run=True)
    assert "memory.max: 100M -> 128M, through podman" in said
    assert "memory.high: max -> 100M, through podman" in said
    assert "podman does not store these limits: cpu.max.burst. " in said
    assert shop.state() == old

    _, said = adjust(EVERY)
    assert "does not store" not in said
    assert (shop.files(), held(shop.scope, "memory.max")) == (SHOWN, SHOWN["memory.max"])
    assert shop.stored() == {
        "Memory": 128 * M, "MemorySwap": 192 * M, "MemoryReservation": 20 * M, "CpuQuota": 50000, "CpuPeriod": 100000,
        "CpuShares": 1287, "PidsLimit": 30,
    }  # fmt: skip
    assert adjust(EVERY)[0] is None
    shop.restart()
    assert shop.files() == SHOWN

    assert "podman cannot unset a list" in undo()
    assert shop.state() == old
    shop.restart()
    assert shop.state() == old


@only_if_it_stores
def test_no_limit_is_stored_as_none_and_the_scope_does_not_keep_one(shop: Shop) -> None:
    old = shop.state()
    adjust(dict.fromkeys(NONE, "max"))
    assert [shop.files(*NONE), {file: held(shop.scope, file) for file in NONE}] == [NONE, NONE]
    shop.restart()
    assert [shop.files(*NONE), {file: held(shop.scope, file) for file in NONE}] == [NONE, NONE]

    assert shop.update(cpu={"quota": -1, "period": 100000}) == 201  # podman's own way leaves 1 % of a CPU to the scope
    assert (held(shop.path, "cpu.max"), held(shop.scope, "cpu.max")) == ("max 100000", "1000 100000")
    adjust({"cpu.max": "max"})
    assert held(shop.scope, "cpu.max") == "max 100000"
    assert adjust({"cpu.max": "max"})[0] is None
    with rctl_python.session() as session:
        session.undo(last=2)
    assert shop.state() == old


@only_if_it_stores
@pytest.mark.parametrize(
    ("limits", "options"),
    [
        ({"memory.max": "4M"}, {"force": True}),
        ({"memory.max": "150M"}, {"runtime": True}),
        ({"memory.max": "max", "memory.swap.max": "10M"}, {}),
    ],
)
def test_what_podman_cannot_hold_or_is_not_to_store_is_not_stored(
    shop: Shop, limits: dict[str, str], options: dict[str, bool]
) -> None:
    old = shop.state()
    assert "podman does not store these limits: memory.max" in adjust(limits, **options)[1]
    assert shop.stored() == old[0]
    assert shop.files("memory.max") != old[1]["memory.max"]
    undo()
    assert shop.state() == old


@only_if_it_stores
def test_what_podmans_runtime_would_refuse_is_not_stored(shop: Shop) -> None:
    old = shop.state()
    with pytest.raises(KernelError, match=r"cpuset\.cpus"):
        adjust({"cpuset.cpus": "77"})
    assert shop.state() == old


@only_if_it_stores
def test_a_stored_value_that_the_runtime_refuses_does_not_keep_rctl_from_other_limits(shop: Shop) -> None:
    assert shop.update(cpu={"quota": 900}) == 500  # stored all the same
    old = shop.stored()
    assert "the container may not start again" in adjust({"memory.max": "150M"})[1]
    assert shop.stored() == old | {"Memory": 150 * M, "MemorySwap": 250 * M}
    assert (held(shop.path, "memory.max"), held(shop.scope, "memory.max")) == (str(150 * M), str(150 * M))
    undo()
    assert (shop.stored(), held(shop.path, "memory.max")) == (old, str(100 * M))
    assert shop.update(cpu={"quota": 100000}) == 201


@only_if_it_stores
def test_undo_waits_for_podman_to_listen_and_needs_no_running_container(shop: Shop) -> None:
    old = shop.state()
    adjust({"pids.max": 40})
    stop()
    try:
        with pytest.raises(NotAvailableError, match=r"systemctl start podman\.socket"):
            undo()
        assert held(shop.path, "pids.max") == "40"
        assert "systemctl enable --now podman.socket" in adjust({"memory.max": "150M"}, dry_run=True)[1]
    finally:
        start()
    done("podman", "stop", "-t", "0", "shop")
    undo()
    done("podman", "start", "shop")
    assert shop.state() == old


@only_if_it_stores
def test_root_and_alice_have_limits_stored_by_her_podman() -> None:
    start("--user", "--machine=alice@")
    try:
        container = as_user("alice", *RUN, "box", "sleep", "1000").strip()
        [scope] = (MOUNT / ALICES.strip("/")).rglob(f"libpod-{container}.scope")
        rctl("set", "podman:alice/shop", "memory.max=60M", "memory.high=50M")
        done(*AS_ALICE, "/usr/local/bin/rctl", "set", "podman:alice/shop", "pids.max=30")
        as_user("alice", "podman", "restart", "-t", "0", "shop")
        found = [
            held(str((scope / "container").relative_to(MOUNT)), file)
            for file in ("memory.max", "memory.high", "pids.max")
        ]
        assert found == [str(60 * M), str(50 * M), "30"]
    finally:
        as_user("alice", "podman", "rm", "-f", "-t", "0", "shop")
        stop("--user", "--machine=alice@")


def recovered() -> None:
    with rctl_python.session() as session:
        session.recover()
    assert list(Path(default_state().journals).iterdir()) == []


AFTER = {"memory.max": "80M", "memory.high": "70M", "cpu.burst": "1ms", "pids.max": 60}


@only_if_it_stores
def test_kill_at_any_moment_leaves_all_old_or_all_new(shop: Shop) -> None:
    def state() -> tuple[Any, ...]:
        return (*shop.state(), held(shop.path, "cpu.max.burst"))

    old, stored_first = state(), 0
    at = 1 if ALL else 6  # before that, the journal is not written yet
    adjust(AFTER)
    new = state()
    undo()
    ends = []
    while (ended := killed_at(at, lambda: adjust(AFTER))).killed:
        if not stored_first and (shop.stored(), held(shop.path, "cpu.max.burst")) == (new[0], "0"):
            stored_first = at
        recovered()
        now = state()
        assert now in (old, new), (at, ended.calls[-1])
        ends.append(now == new)
        if now == new:
            undo()
            assert state() == old, (at, ended.calls[-1])
        at += 1
    assert ended.status == 0, ended.said
    assert set(ends) == {True, False}
    undo()

    assert killed_at(stored_first, lambda: adjust(AFTER)).killed
    stop()
    try:
        assert "podman: no answer at /run/podman/podman.sock" in rctl("recover", status=3)
    finally:
        start()
    done("podman", "stop", "-t", "0", "shop")
    recovered()
    done("podman", "start", "shop")
    assert state() == old


@only_if_it_stores
def test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not(shop: Shop) -> None:
    before = shop.state()
    adjust(AFTER)
    after = shop.state()
    ends = {"done": 0, "not": 0}
    for kill in kills(undo, lambda: adjust(AFTER), recovered):
        now = shop.state()
        assert now in (before, after), kill
        ends["done" if now == before else "not"] += 1
        if now == before:
            adjust(AFTER)
    undo()
    assert shop.state() == before
    assert min(ends.values()) > 0, ends
