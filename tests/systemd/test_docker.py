"""A container's limits are set through dockerd, which stores them: they outlast a restart; undo puts its own back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd.dockers import UNSET, Web
from tests.systemd.helpers import data, done, held, rctl, reload, told, until

EVERY = {
    "memory.max": "128M", "memory.swap.max": "64M", "cpu.max": "0.5", "cpu.weight": "50", "cpuset.cpus": "0",
    "cpuset.mems": "0", "pids.max": "30",
}  # fmt: skip
SHOWN = {
    "memory.max": "134217728", "memory.swap.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "50",
    "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "30",
}  # fmt: skip
FILES = ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
M = 1 << 20


@pytest.fixture
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    """A fresh container; the parameter is its options."""
    made = Web(*getattr(request, "param", ()))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def shared() -> Iterator[Web]:
    """One container for tests that set different limits."""
    made = Web()
    yield made
    made.remove()


def words(limits: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in limits.items()]


def test_every_limit_that_docker_has_is_stored_and_outlasts_reload_and_restart(web: Web) -> None:
    assert "memory.max: max -> 128M, through docker" in rctl("set", "docker:web", *words(EVERY), "--dry-run")
    assert web.stored() == UNSET
    rctl("set", "docker:web", *words(EVERY))
    assert web.files(SHOWN) == SHOWN
    reload()
    assert web.files(SHOWN) == SHOWN
    web.restart()
    assert web.files(SHOWN) == SHOWN
    assert web.stored("Memory", "MemorySwap") == {"Memory": 128 * M, "MemorySwap": 192 * M}
    assert data("set", "docker:web", *words(EVERY))["id"] is None


def test_what_docker_lacks_goes_through_the_scope_in_the_same_transaction(web: Web) -> None:
    plan = rctl("set", "docker:web", "memory.max=200M", "memory.high=100M", "--dry-run")
    assert "memory.max: max -> 200M, through docker" in plan
    assert "memory.high: max -> 100M, through systemd" in plan
    assert "docker does not store these limits" in told("set", "docker:web", "memory.max=200M", "memory.high=100M")
    reload()
    assert held(web.path, "memory.high") == str(100 * M)
    assert data("set", "docker:web", "memory.max=200M", "memory.high=100M")["id"] is None
    rctl("undo")
    assert web.files(("memory.max", "memory.high")) == {"memory.max": "max", "memory.high": "max"}


@pytest.mark.parametrize(
    "web",
    [
        ("-m", "100m", "--memory-reservation", "20m", "--cpus", "1.5", "--cpu-shares", "2000", "--pids-limit", "50",
         "--cpuset-cpus", "0,1")
    ],
    indirect=True,
)  # fmt: skip
def test_undo_puts_back_what_docker_had_stored(web: Web) -> None:
    old, shown = web.stored(), web.files([*FILES, "memory.low"])
    limits = ("memory.max=200M", "memory.low=40M", "cpu.max=0.5", "cpu.weight=50", "pids.max=max", "cpuset.cpus=0")
    rctl("set", "docker:web", *limits)
    assert web.stored("Memory", "MemorySwap") == {"Memory": 200 * M, "MemorySwap": 300 * M}
    assert web.stored("NanoCpus", "CpuQuota") == {"NanoCpus": 500_000_000, "CpuQuota": 0}
    assert (web.stored("MemoryReservation"), held(web.path, "memory.low")) == (40 * M, str(40 * M))
    assert held(web.path, "pids.max") == "max"
    rctl("undo")
    assert web.stored() == old
    assert web.files(shown) == shown


def test_what_docker_cannot_unset_comes_back_with_the_same_effect_and_rctl_says_so(web: Web) -> None:
    old = web.files(FILES)
    rctl("set", "docker:web", *words(EVERY))
    text = told("undo")
    assert "docker cannot unset a limit" in text
    assert "CpuQuota=-1" in text
    assert web.files(FILES) == old
    web.restart()
    assert web.files(FILES) == old
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
    ("web", "changes"),
    [
        ((), (("memory.swap.max=50M",), ("memory.low=20M",), ("memory.max=4M",), ("cpu.weight=idle",))),
        (("--cpus", "1"), (("cpu.max=max",), ("cpu.max=0.5", "cpu.period=50ms"))),
    ],
    indirect=["web"],
    ids=["unset", "with-cpus"],
)
def test_what_docker_cannot_hold_goes_through_the_scope_with_a_note(
    web: Web, changes: tuple[tuple[str, ...], ...]
) -> None:
    files = (*FILES, "memory.low", "cpu.idle")
    stored, old = web.stored(), web.files(files)
    for limits in changes:
        assert "docker does not store these limits" in told("set", "docker:web", *limits, "--force")
        assert web.stored() == stored
        assert web.files(files) != old
        rctl("undo")
        assert web.files(files) == old


def test_what_docker_was_told_since_for_a_stopped_container_stays(web: Web) -> None:
    pids = int(held(web.path, "pids.max"))
    rctl("set", "docker:web", "memory.max=128M", "pids.max=30")
    done("docker", "stop", "-t", "0", "web")
    done("docker", "update", "--memory", "200m", "--memory-swap", "-1", "web")
    said = told("undo")
    assert "docker:web: memory.max was changed since, and stays" in said
    assert "docker:web: is stopped; it gets this when it starts" in said
    assert web.stored("Memory", "PidsLimit") == {"Memory": 200 * M, "PidsLimit": pids}


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
        web.remove()


def test_it_is_set_by_its_name_its_id_and_its_path(shared: Web) -> None:
    for size, word in enumerate(("docker:web", "web", shared.id, shared.id[:12], shared.path), start=100):
        rctl("set", word, f"memory.max={size}M")
        assert (shared.stored("Memory"), held(shared.path, "memory.max")) == (size * M, str(size * M)), word
    rctl("undo", "--last", "5")
    assert held(shared.path, "memory.max") == "max"


def test_what_systemd_sets_on_a_scope_is_refused_without_advice_that_cannot_help(shared: Web) -> None:
    said = rctl("set", "docker:web", "memory.oom.group=1", status=1)
    assert said.endswith("would undo a change. Only the program that makes the scope can set OOMPolicy= there\n")
    assert held(shared.path, "memory.oom.group") == "0"


def test_runtime_is_not_stored_and_undo_leaves_dockers_value_alone(shared: Web) -> None:
    rctl("set", "docker:web", "memory.max=200M")
    rctl("set", "docker:web", "memory.max=150M", "--runtime")
    assert (shared.stored("Memory"), held(shared.path, "memory.max")) == (200 * M, str(150 * M))
    reload()
    assert held(shared.path, "memory.max") == str(150 * M)
    rctl("undo")
    assert (shared.stored("Memory"), held(shared.path, "memory.max")) == (200 * M, str(200 * M))


def test_a_part_of_a_per_cent_is_told_to_be_rounded(shared: Web) -> None:
    assert "34 % of a CPU at the next daemon-reload" in told("set", "docker:web", "cpu.max=0.333")
    assert held(shared.path, "cpu.max") == "33300 100000"


def test_a_member_of_the_group_docker_sets_limits_and_others_do_not(shared: Web) -> None:
    text = rctl("set", shared.path, "pids.max=30", user="bob", status=1)
    assert text.count("\n") == 1
    assert "as a member of the group docker" in text
    rctl("set", shared.path, "pids.max=30", user="bob", groups=("docker",))
    assert (shared.stored("PidsLimit"), held(shared.path, "pids.max")) == (30, "30")
