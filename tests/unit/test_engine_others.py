"""What happens around an adjustment while it runs: crashes of others, VEs that grow, limits that others set."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.progress import Event
from rctl.adjust.records.history import Record
from rctl.adjust.records.journal import Journal, left_open
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Enable, Set, Step
from rctl.cgroupfs.tree import Tree
from rctl.errors import RctlError, RollbackError
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder

GIB = 1 << 30


@pytest.fixture
def kernel() -> FakeKernel:
    kernel = FakeKernel(swap=0)
    for name in "web1", "web2", "web3":
        kernel.make(f"/rctl-{name}", procs=(10,))
    return kernel


@pytest.fixture
def tree(kernel: FakeKernel) -> Iterator[Tree]:
    with kernel.installed() as tree:
        yield tree


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


@pytest.fixture
def site(kernel: FakeKernel, tree: Tree, state: State) -> Site:
    return Site(tree, kernel.host, state)


def left(kernel: FakeKernel, state: State, *steps: Step) -> None:
    """A journal whose process is gone."""
    inodes = {step.path: kernel.node(step.path).ino for step in steps}
    Journal(state, Record("20261122-1", 1.0, BOOT, "rctl set", inodes, steps)).abandon()


def test_a_ve_that_grew_since_the_plan_is_not_killed_for(kernel: FakeKernel, site: Site) -> None:
    """Only ``web1`` was above the new limit in the plan; ``web2`` came above it while ``web1`` was reclaimed."""
    kernel.make("/rctl-web1", anon=GIB // 2, cache=2 * GIB)
    kernel.make("/rctl-web2", anon=GIB // 2)

    def grow(event: Event) -> None:
        if event.what == "reclaim":
            kernel.node("/rctl-web2").cache = GIB

    wanted = limits({"memory.max": "1G"}, kernel.host)
    adjust(msgspec.structs.replace(site, progress=grow), {"web1": wanted, "web2": wanted}, Options())
    assert kernel.kills == 0
    assert kernel.get("/rctl-web2", "memory.max") == str(GIB)
    assert kernel.get("/rctl-web2", "memory.high") == "max"
    assert kernel.node("/rctl-web2").current <= GIB


def test_putting_a_lower_memory_limit_back_kills_nothing_either(kernel: FakeKernel, site: Site) -> None:
    kernel.make("/rctl-web1", anon=GIB // 2)
    kernel.put("/rctl-web1", "memory.max", str(GIB))

    def grow_then_fail(event: Event) -> None:
        if event.what == "step":
            kernel.node("/rctl-web1").cache = GIB
            raise RctlError("something else went wrong")

    with pytest.raises(RctlError, match="something else"):
        adjust(
            msgspec.structs.replace(site, progress=grow_then_fail),
            {"web1": limits({"memory.max": "2G"}, kernel.host)},
            Options(),
        )
    assert kernel.get("/rctl-web1", "memory.max") == str(GIB)
    assert kernel.get("/rctl-web1", "memory.high") == "max"
    assert kernel.kills == 0


def test_memory_is_never_asked_for_in_one_large_write(kernel: FakeKernel, site: Site) -> None:
    """The kernel reclaims within a write of ``memory.high``: each one has a step's worth to do, so deadlines hold."""
    kernel.make("/rctl-web1", cache=GIB)
    adjust(site, {"web1": limits({"memory.max": "256M"}, kernel.host)}, Options())
    written = [int(op.text) for op in kernel.writes if op.file == "memory.high" and op.text.strip().isdecimal()]
    assert len(written) > 10
    assert max(a - b for a, b in zip([GIB, *written], written, strict=False)) <= 33 << 20


def test_a_journal_of_other_ves_that_cannot_be_settled_is_told_and_stands_in_nobodys_way(
    kernel: FakeKernel, site: Site
) -> None:
    kernel.make("/rctl-web1", anon=2 * GIB)
    left(
        kernel, site.state, Set("/rctl-web1", "memory.max", str(GIB), "max"), Set("/rctl-web1", "pids.max", "max", "5")
    )
    account = adjust(site, {"web2": limits({"pids.max": 7}, kernel.host)}, Options())
    assert kernel.get("/rctl-web2", "pids.max") == "7"
    assert "other VEs than these" in account.notes[0]
    assert left_open(site.state) == ["20261122-1.json"]


def test_a_journal_of_the_same_ve_must_be_settled_first(kernel: FakeKernel, site: Site) -> None:
    kernel.make("/rctl-web1", anon=2 * GIB)
    left(
        kernel, site.state, Set("/rctl-web1", "memory.max", str(GIB), "max"), Set("/rctl-web1", "pids.max", "max", "5")
    )
    with pytest.raises(RollbackError):
        adjust(site, {"web1": limits({"pids.max": 7}, kernel.host)}, Options(deadline=0.1))
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_steps_that_had_not_been_run_are_not_run_backwards(kernel: FakeKernel, site: Site) -> None:
    left(
        kernel,
        site.state,
        Set("/rctl-web1", "memory.high", "max", str(GIB)),
        Set("/rctl-web1", "memory.max", "max", str(GIB)),
        Set("/rctl-web1", "memory.high", str(GIB), "max"),
    )
    recover(site, 1)
    assert [op.file for op in kernel.writes] == []


def test_a_controller_stays_on_that_somebody_else_has_come_to_need(kernel: FakeKernel, site: Site) -> None:
    never_run = Set("/rctl-web1", "memory.low", "0", "4096")
    left(kernel, site.state, Enable("/", ("pids",)), Set("/rctl-web1", "pids.max", "max", "50"), never_run)
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.put("/rctl-web3", "pids.max", "30")
    recover(site, 1)
    assert kernel.get("/rctl-web1", "pids.max") == "max"
    assert kernel.get("/rctl-web3", "pids.max") == "30"


def test_every_ve_of_a_failed_adjustment_is_accounted_for(kernel: FakeKernel, site: Site) -> None:
    def fail(event: Event) -> None:
        if event.what == "step":
            raise RctlError("no further")

    wanted = limits({"pids.max": 7}, kernel.host)
    with pytest.raises(RctlError) as caught:
        adjust(msgspec.structs.replace(site, progress=fail), dict.fromkeys(("web1", "web2", "web3"), wanted), Options())
    assert [(o.name, o.status) for o in caught.value.account.outcomes] == [
        ("web1", "rolled back"),
        ("web2", "not reached"),
        ("web3", "not reached"),
    ]
