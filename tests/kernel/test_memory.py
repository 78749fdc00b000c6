"""Memory: every limit is written, read back and felt."""

import os
import signal
from pathlib import Path

import pytest

from rctl.adjust.steps import Reclaim
from rctl.errors import ShrinkError
from tests.kernel.helpers import Ve, lacks, refused
from tests.kernel.workload import MIB, Worker, filler, sleeper, until, zswap

NO_SWAP = {"memory.swap.max": 0}

NO_LIMIT = dict.fromkeys(("max", "high", "swap.max", "swap.high", "zswap.max"), "max") | {"low": "0", "min": "0"}


@pytest.mark.parametrize("name", NO_LIMIT)
def test_size_is_written_and_read_back(ve: Ve, name: str) -> None:
    file = f"memory.{name}"
    if lacks(ve, file, {file: "64M"}):
        return
    ve.set({file: "64M"})
    assert ve.text(file) == str(64 * MIB)
    ve.set({file: NO_LIMIT[name]})
    assert ve.text(file) == NO_LIMIT[name]
    ve.set({file: "max"}, force=True)  # which protects everything, where the size is one of protection
    assert ve.text(file) == "max"


def test_size_is_rounded_down_to_pages(ve: Ve) -> None:
    ve.set({"memory.max": 64 * MIB + 1})
    assert ve.number("memory.max") == 64 * MIB


def test_allocation_beyond_max_is_killed(ve: Ve) -> None:
    ve.set({"memory.max": "40M", **NO_SWAP})
    worker = filler(ve.dir, 20)
    assert not worker.hold(80)
    assert worker.end() == -signal.SIGKILL
    assert ve.count("memory.events", "oom_kill") == 1


@pytest.mark.usefixtures("swap")
def test_shrink_below_use_reclaims_and_kills_nobody(ve: Ve) -> None:
    ve.set({"memory.max": "200M"})
    worker = filler(ve.dir, 60)
    account = ve.set({"memory.max": "30M"}, deadline=30)
    assert any(isinstance(step, Reclaim) for step in account.outcomes[0].steps)
    assert ve.number("memory.max") == 30 * MIB
    assert ve.number("memory.current") <= 30 * MIB
    assert ve.text("memory.high") == "max"
    assert ve.count("memory.events", "oom_kill") == 0
    assert worker.hold(60)


def test_shrink_below_what_cannot_be_reclaimed_leaves_the_old_limit(ve: Ve) -> None:
    ve.set({"memory.max": "200M", "memory.high": "150M", **NO_SWAP})
    worker = filler(ve.dir, 60)
    with refused(ShrinkError, r"memory.max: cannot set 30M on .*: 6\d.*M in use", ve):
        ve.set({"memory.max": "30M"}, deadline=0.5)
    assert ve.count("memory.events", "oom_kill") == 0
    assert worker.alive


@pytest.mark.usefixtures("swap")
def test_swap_given_together_with_the_shrink_is_there_for_it(ve: Ve) -> None:
    ve.set({"memory.max": "200M", **NO_SWAP})
    worker = filler(ve.dir, 50)
    ve.set({"memory.max": "30M", "memory.swap.max": "100M"}, deadline=30)
    assert ve.number("memory.current") <= 30 * MIB
    assert worker.alive


def test_force_lets_the_kernel_kill_and_says_so(ve: Ve) -> None:
    ve.set({"memory.max": "200M", **NO_SWAP})
    worker = filler(ve.dir, 60)
    account = ve.set({"memory.max": "30M"}, force=True)
    assert account.notes == (f"{ve.name}: the kernel killed 1 process(es) for lack of memory",)
    assert worker.end() == -signal.SIGKILL
    assert ve.number("memory.max") == 30 * MIB


@pytest.mark.usefixtures("swap")
def test_high_holds_back_without_killing(ve: Ve) -> None:
    ve.set({"memory.high": "20M"})
    worker = filler(ve.dir, 30)
    assert ve.count("memory.events", "high") > 0
    assert ve.count("memory.events", "oom_kill") == 0
    assert worker.alive


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize("file", ["memory.low", "memory.min"])
def test_protection_spares_the_ve_when_the_parent_reclaims(ve: Ve, file: str) -> None:
    ve.set({"memory.max": "max"})
    for name in ("spared", "taken"):
        (ve.dir / name).mkdir()
    spared, taken = (Ve(ve.tree, f"{ve.path}/{name}") for name in ("spared", "taken"))
    ve.set({file: "40M"})
    spared.set({file: "40M"})
    taken.set({file: 0})
    filler(spared.dir, 30)
    filler(taken.dir, 30)
    ve.set({"memory.max": "46M"}, deadline=30)
    assert spared.number("memory.current") >= 29 * MIB
    assert taken.number("memory.current") <= 17 * MIB


@pytest.mark.usefixtures("swap")
def test_swap_max_is_obeyed(ve: Ve) -> None:
    ve.set({"memory.max": "30M", "memory.swap.max": "16M"})
    worker = filler(ve.dir, 36)
    assert 0 < ve.number("memory.swap.current") <= 16 * MIB
    assert not worker.hold(80)
    assert ve.count("memory.events", "oom_kill") == 1
    assert ve.number("memory.swap.current") <= 16 * MIB


@pytest.mark.usefixtures("swap")
def test_swap_high_holds_back(ve: Ve) -> None:
    ve.set({"memory.max": "20M", "memory.swap.high": "8M"})
    filler(ve.dir).tell("40")
    until(lambda: ve.count("memory.swap.events", "high"), "memory.swap.events high")
    assert ve.count("memory.events", "oom_kill") == 0


@pytest.mark.parametrize(("group", "survivors"), [(0, 1), (1, 0)])
def test_oom_group_is_whether_all_of_the_ve_dies(ve: Ve, group: int, survivors: int) -> None:
    ve.set({"memory.max": "40M", "memory.oom.group": group, **NO_SWAP})
    assert ve.text("memory.oom.group") == str(group)
    bystander, worker = sleeper(ve.dir), filler(ve.dir)
    assert not worker.hold(80)
    worker.end()
    until(lambda: ve.number("pids.current") == survivors if ve.has("pids.current") else True, "the deaths")
    if group:
        assert bystander.end() == -signal.SIGKILL
    else:
        assert bystander.ask("are you there?") == "here"


def test_page_cache_shrinks_without_swap(ve: Ve, disk: Path) -> None:
    path = disk / f"rctl-cache-{os.getpid()}"

    def main(_: object) -> None:
        with path.open("wb") as file:
            for _ in range(40):
                file.write(b"x" * MIB)
            os.fsync(file.fileno())

    ve.set({"memory.max": "100M", **NO_SWAP})
    try:
        assert Worker(ve.dir, main).end() == 0
        assert ve.number("memory.current") > 30 * MIB
        ve.set({"memory.max": "8M"})
        assert ve.number("memory.current") <= 8 * MIB
    finally:
        path.unlink()


@pytest.mark.usefixtures("swap", "as_root")
@pytest.mark.parametrize("writeback", [0, 1])
def test_zswap_writeback_is_whether_swap_may_go_to_disk(ve: Ve, writeback: int) -> None:
    """Nothing fits in compressed swap here, so all that is swapped out would go to disk."""
    if lacks(ve, "memory.zswap.writeback", {"memory.zswap.writeback": 0}):
        return
    with zswap("Y"):
        ve.set({"memory.max": "20M", "memory.zswap.max": 0, "memory.zswap.writeback": writeback})
        assert ve.text("memory.zswap.writeback") == str(writeback)
        assert filler(ve.dir).hold(40) == bool(writeback)
        assert ve.count("memory.events", "oom_kill") == 1 - writeback
