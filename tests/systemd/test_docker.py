"""A container's limits are set through dockerd, which stores them: they outlast a restart; undo puts its own back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.systemd.helpers import data, done, held, rctl, reload, until

UNSET = {
    "Memory": 0, "MemorySwap": 0, "MemoryReservation": 0, "NanoCpus": 0, "CpuQuota": 0, "CpuPeriod": 0, "CpuShares": 0,
    "CpusetCpus": "", "CpusetMems": "", "PidsLimit": None,
}  # fmt: skip
EVERY = {
    "memory.max": "128M", "memory.swap.max": "64M", "cpu.max": "0.5", "cpu.weight": "50", "cpuset.cpus": "0",
    "cpuset.mems": "0", "pids.max": "30",
}  # fmt: skip
SHOWN = {
    "memory.max": "134217728", "memory.swap.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "50",
    "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "30",
}  # fmt: skip
M = 1 << 20


class Web:
    """A container named web. ``path``: its cgroup."""

    def __init__(self, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> None:
        run = ("docker", "run", "-d", "--name", "web", "--network", "none")
        self.id = done(*run, *options, "box", *command).strip()
        self.path = f"/system.slice/docker-{self.id}.scope"

    @classmethod
    def named(cls, name: str) -> Web:
        """The container with this name, which runs already."""
        found = cls.__new__(cls)
        found.id = done("docker", "inspect", "-f", "{{.Id}}", name).strip()
        found.path = f"/system.slice/docker-{found.id}.scope"
        return found

    def stored(self, *names: str) -> Any:
        """What docker has stored for a field, or for several."""
        config = json.loads(done("docker", "inspect", self.id))[0]["HostConfig"]
        return config[names[0]] if len(names) == 1 else {name: config[name] for name in names or UNSET}

    def restart(self) -> None:
        done("docker", "restart", "-t", "0", "web")

    def files(self, *names: str) -> dict[str, str]:
        return {name: held(self.path, name) for name in names or SHOWN}


@pytest.fixture
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    try:
        yield Web(*getattr(request, "param", ()))
    finally:
        done("docker", "rm", "-f", "web")


def words(limits: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in limits.items()]


def said(*words: str) -> str:
    """All that rctl prints, notes included."""
    return done("sh", "-c", 'exec "$@" 2>&1', "sh", "rctl", *words)


def test_a_limit_is_stored_by_docker_and_outlasts_its_restart(web: Web) -> None:
    assert "memory.max: max -> 200M, through docker" in rctl("set", "docker:web", "memory.max=200M", "--dry-run")
    assert web.stored() == UNSET
    rctl("set", "docker:web", "memory.max=200M")
    assert web.stored("Memory") == 200 * M
    web.restart()
    assert web.files("memory.max", "memory.swap.max") == {"memory.max": str(200 * M), "memory.swap.max": "max"}


def test_every_limit_that_docker_has_outlasts_reload_and_restart(web: Web) -> None:
    rctl("set", "docker:web", *words(EVERY))
    assert web.files() == SHOWN
    reload()
    assert web.files() == SHOWN
    web.restart()
    assert web.files() == SHOWN
    assert web.stored("MemorySwap") == 192 * M
    assert data("set", "docker:web", *words(EVERY))["id"] is None


def test_what_docker_lacks_goes_through_the_scope_in_the_same_transaction(web: Web) -> None:
    plan = rctl("set", "docker:web", "memory.max=200M", "memory.high=100M", "--dry-run")
    assert "memory.max: max -> 200M, through docker" in plan
    assert "memory.high: max -> 100M, through systemd" in plan
    assert "docker does not know these limits" in said("set", "docker:web", "memory.max=200M", "memory.high=100M")
    reload()
    assert held(web.path, "memory.high") == str(100 * M)
    assert data("set", "docker:web", "memory.max=200M", "memory.high=100M")["id"] is None
    rctl("undo")
    assert web.files("memory.max", "memory.high") == {"memory.max": "max", "memory.high": "max"}
    web.restart()
    assert held(web.path, "memory.max") == "max"


@pytest.mark.parametrize(
    "web",
    [("-m", "100m", "--cpus", "1.5", "--cpu-shares", "2000", "--pids-limit", "50", "--cpuset-cpus", "0,1")],
    indirect=True,
)
def test_undo_puts_back_what_docker_had_stored(web: Web) -> None:
    old, shown = web.stored(), web.files("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
    rctl("set", "docker:web", "memory.max=200M", "cpu.max=0.5", "cpu.weight=50", "pids.max=max", "cpuset.cpus=0")
    assert web.stored("Memory", "MemorySwap") == {"Memory": 200 * M, "MemorySwap": 300 * M}
    assert web.stored("NanoCpus", "CpuQuota") == {"NanoCpus": 500_000_000, "CpuQuota": 0}
    assert held(web.path, "pids.max") == "max"
    rctl("undo")
    assert web.stored() == old
    assert web.files(*shown) == shown


def test_what_docker_cannot_unset_comes_back_with_the_same_effect_and_rctl_says_so(web: Web) -> None:
    old = web.files("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
    rctl("set", "docker:web", *words(EVERY))
    text = said("undo")
    assert "docker cannot unset a limit" in text
    assert "CpuQuota=-1" in text
    assert web.files(*old) == old
    web.restart()
    assert web.files(*old) == old
    rctl("set", "docker:web", "cpu.max=0.3")
    web.restart()
    assert held(web.path, "cpu.max") == "30000 100000"


def test_swap_is_counted_by_rctl_alone_and_by_docker_with_memory(web: Web) -> None:
    rctl("set", "docker:web", "memory.max=100M", "memory.swap.max=50M")
    assert web.stored("Memory", "MemorySwap") == {"Memory": 100 * M, "MemorySwap": 150 * M}
    rctl("set", "docker:web", "memory.max=300M")
    assert web.stored("Memory", "MemorySwap") == {"Memory": 300 * M, "MemorySwap": 350 * M}
    rctl("set", "docker:web", "memory.swap.max=0")
    assert (web.stored("MemorySwap"), held(web.path, "memory.swap.max")) == (300 * M, "0")
    rctl("set", "docker:web", "memory.swap.max=max")
    assert (web.stored("MemorySwap"), held(web.path, "memory.swap.max")) == (-1, "max")
    reload()
    assert held(web.path, "memory.swap.max") == "max"


@pytest.mark.parametrize(
    ("web", "limits"),
    [
        ((), ("memory.swap.max=50M",)),
        ((), ("memory.low=20M",)),
        ((), ("memory.max=4M",)),
        (("--cpus", "1"), ("cpu.max=max",)),
        (("--cpus", "1"), ("cpu.max=0.5", "cpu.period=50ms")),
        ((), ("cpu.weight=idle",)),
    ],
    indirect=["web"],
)
def test_what_docker_cannot_hold_goes_through_the_scope_with_a_note(web: Web, limits: tuple[str, ...]) -> None:
    old = web.stored()
    assert "docker does not know these limits" in said("set", "docker:web", *limits, "--force")
    assert web.stored() == old
    rctl("undo")
    web.restart()


def test_a_reservation_that_docker_has_is_changed_there() -> None:
    web = Web("--memory-reservation", "20m")
    try:
        rctl("set", "docker:web", "memory.low=40M")
        assert (web.stored("MemoryReservation"), held(web.path, "memory.low")) == (40 * M, str(40 * M))
        rctl("undo")
        assert web.stored("MemoryReservation") == 20 * M
    finally:
        done("docker", "rm", "-f", "web")


def test_runtime_is_not_stored_and_undo_leaves_dockers_value_alone(web: Web) -> None:
    rctl("set", "docker:web", "memory.max=200M")
    rctl("set", "docker:web", "memory.max=150M", "--runtime")
    assert (web.stored("Memory"), held(web.path, "memory.max")) == (200 * M, str(150 * M))
    reload()
    assert held(web.path, "memory.max") == str(150 * M)
    rctl("undo")
    assert (web.stored("Memory"), held(web.path, "memory.max")) == (200 * M, str(200 * M))


def test_a_part_of_a_per_cent_is_told_to_be_rounded(web: Web) -> None:
    assert "34 % of a CPU at the next daemon-reload" in said("set", "docker:web", "cpu.max=0.333")
    assert held(web.path, "cpu.max") == "33300 100000"


def test_memory_in_use_is_freed_first() -> None:
    fill = "busybox dd if=/dev/zero of=/tmp/x bs=1M count=64; sleep 1000"
    web = Web("--tmpfs", "/tmp", command=("sh", "-c", fill))
    try:
        until(lambda: int(held(web.path, "memory.current")) > 64_000_000)
        rctl("set", "docker:web", "memory.max=40M")
        assert held(web.path, "memory.max") == str(40 * M)
        assert held(web.path, "memory.high") == "max"
        assert "oom_kill 0" in held(web.path, "memory.events")
    finally:
        done("docker", "rm", "-f", "web")


def test_a_member_of_the_group_docker_sets_limits_and_others_do_not(web: Web) -> None:
    change = ("env", "RCTL_STATE=/tmp/bob", "rctl", "set", web.path, "pids.max=30")
    text = done("setpriv", "--reuid=bob", "--regid=bob", "--clear-groups", *change, status=1)
    assert text.count("\n") == 1
    assert "as a member of the group docker" in text
    done("setpriv", "--reuid=bob", "--regid=bob", "--groups=docker", *change)
    assert (web.stored("PidsLimit"), held(web.path, "pids.max")) == (30, "30")
