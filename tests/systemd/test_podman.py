"""A podman container's limits, if podman does not listen: its scope gets them, too, if it has limits; a note says what
a restart forgets. One container of root's serves all tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import rctl as rctl_python
from rctl.adjust.state_folder import default_state
from tests.systemd.helpers import AS_ALICE, MOUNT, as_user, data, done, held, rctl, reload, told
from tests.systemd.kills import kills

M = 1 << 20
RUN = ("podman", "run", "-d", "--name", "shop", "--network", "none")
ALICES = "/user.slice/user-1001.slice/user@1001.service"


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The scope of a container of root's podman."""
    try:
        yield f"/machine.slice/libpod-{done(*RUN, 'box', 'sleep', '1000').strip()}.scope"
    finally:
        done("podman", "rm", "-f", "-t", "0", "shop")


@pytest.fixture
def alices() -> Iterator[str]:
    """The scope of a container of alice's podman."""
    try:
        container = as_user("alice", *RUN, "box", "sleep", "1000").strip()
        [found] = (MOUNT / ALICES.strip("/")).rglob(f"libpod-{container}.scope")
        yield f"/{found.relative_to(MOUNT)}"
    finally:
        as_user("alice", "podman", "rm", "-f", "-t", "0", "shop")


def both(scope: str, file: str) -> tuple[str, str]:
    """What the container's cgroup holds, and the lowest limit of it and its scope."""
    inner, outer = held(f"{scope}/container", file), held(scope, file)
    return inner, min((inner, outer), key=lambda entry: float("inf") if entry == "max" else int(entry))


def test_a_limit_that_podman_has_lowered_is_raised_in_effect(shop: str) -> None:
    done("podman", "update", "--memory", "100m", "shop")
    rctl("set", "podman:shop", "memory.max=300M")
    assert both(shop, "memory.max") == (str(300 * M), str(300 * M))
    reload()
    assert both(shop, "memory.max") == (str(300 * M), str(300 * M))
    rctl("undo")
    assert both(shop, "memory.max") == (str(100 * M), str(100 * M))


def test_it_is_set_by_its_name_its_id_and_its_path(shop: str) -> None:
    id_ = shop.rpartition("libpod-")[2].removesuffix(".scope")
    for size, word in enumerate(("podman:shop", "shop", id_, id_[:12], f"{shop}/container"), start=200):
        rctl("set", word, f"memory.max={size}M")
        assert both(shop, "memory.max") == (str(size * M), str(size * M)), word
    rctl("undo", "--last", "5")


def test_every_limit_is_set_and_undone(shop: str) -> None:
    done("podman", "update", "--memory", "100m", "--cpus", "1", "shop")
    files = ("memory.max", "memory.swap.max", "memory.high", "cpu.max", "cpu.weight", "pids.max")
    old = [(held(shop, file), held(f"{shop}/container", file)) for file in files]
    limits = ("memory.max=max", "memory.high=150M", "cpu.max=0.5", "cpu.weight=200", "pids.max=max")
    rctl("set", "podman:shop", *limits)
    assert both(shop, "memory.max") == ("max", "max")
    assert both(shop, "pids.max") == ("max", "max")
    assert held(f"{shop}/container", "cpu.max") == "50000 100000"
    assert data("set", "podman:shop", *limits)["id"] is None
    rctl("undo")
    assert [(held(shop, file), held(f"{shop}/container", file)) for file in files] == old


def test_a_note_says_that_podman_does_not_know_the_limit(shop: str) -> None:
    assert "podman does not store these limits: memory.max" in told("set", "podman:shop", "memory.max=300M")
    done("podman", "restart", "-t", "0", "shop")
    assert held(f"{shop}/container", "memory.max") != str(300 * M)


def test_root_and_alice_set_limits_of_her_container(alices: str) -> None:
    rctl("set", "podman:alice/shop", "memory.max=60M", "pids.max=30")
    assert (both(alices, "memory.max"), both(alices, "pids.max")) == ((str(60 * M), str(60 * M)), ("30", "30"))
    rctl("undo")
    done(*AS_ALICE, "/usr/local/bin/rctl", "set", "podman:alice/shop", "pids.max=3000")
    assert both(alices, "pids.max") == ("3000", "3000")
    done("systemctl", "--user", "--machine=alice@", "daemon-reload")
    assert both(alices, "pids.max") == ("3000", "3000")


AFTER = {"memory.max": "300M", "memory.high": "200M", "pids.max": 60}


def change() -> None:
    with rctl_python.session() as session:
        session.adjust({"podman:shop": AFTER})


def undo() -> None:
    with rctl_python.session() as session:
        session.undo()


def recover() -> None:
    with rctl_python.session() as session:
        session.recover()
    assert list(Path(default_state().journals).iterdir()) == []


def state(scope: str) -> list[tuple[str, str]]:
    files = ("memory.max", "memory.high", "pids.max")
    return [(held(scope, file), held(f"{scope}/container", file)) for file in files]


def test_kill_at_any_moment_leaves_all_old_or_all_new(shop: str) -> None:
    done("podman", "update", "--memory", "100m", "shop")
    old, ends = state(shop), {"old": 0, "new": 0}
    for kill in kills(change, undo, recover):
        if state(shop) == old:
            ends["old"] += 1
        else:
            assert [inner for _, inner in state(shop)] == [str(300 * M), str(200 * M), "60"], kill
            ends["new"] += 1
            undo()
            assert state(shop) == old, kill
    assert min(ends.values()) > 0, ends


def test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not(shop: str) -> None:
    done("podman", "update", "--memory", "100m", "shop")
    before = state(shop)
    change()
    after = state(shop)
    ends = {"done": 0, "not": 0}
    for kill in kills(undo, change, recover):
        now = state(shop)
        assert now in (before, after), kill
        ends["done" if now == before else "not"] += 1
        if now == before:
            change()
    undo()
    assert state(shop) == before
    assert min(ends.values()) > 0, ends
