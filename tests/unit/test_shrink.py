"""Reclaiming memory: how far, in which steps, for how long, and what is said when there is no more to be had."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest

from rctl.adjust.shrink_memory import free, held, lower_high, reclaim
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import KernelError, NotAvailableError, ShrinkError
from tests.unit.fake_calls import Operation
from tests.unit.fake_kernel import FakeKernel
from tests.unit.fake_machine import Node

M = 1 << 20


@pytest.fixture
def kernel() -> FakeKernel:
    """A VE with 300 MiB of page cache, on a machine without swap."""
    kernel = FakeKernel(swap=0)
    kernel.make("/rctl-web1", cache=300 * M)
    return kernel


@pytest.fixture
def ve(kernel: FakeKernel) -> Iterator[Cgroup]:
    with kernel.installed() as tree, tree.walk("/rctl-web1") as ve:
        yield ve


@pytest.fixture
def node(kernel: FakeKernel) -> Node:
    return kernel.node("/rctl-web1")


def written(kernel: FakeKernel) -> list[tuple[str, str]]:
    return [(operation.file, operation.text) for operation in kernel.writes]


def asked(kernel: FakeKernel) -> list[str]:
    """What the kernel was asked to reclaim, each time."""
    return [text for file, text in written(kernel) if file == "memory.reclaim"]


def after_each(kernel: FakeKernel, file: str, then: Callable[[], None]) -> None:
    """What happens while the kernel carries out a write of this file."""

    def watch(operation: Operation) -> None:
        if operation.file == file:
            then()

    kernel.watch = watch


def refuse(kernel: FakeKernel, number: int, first: Callable[[], None] = lambda: None) -> None:
    """``memory.reclaim`` fails from now on, and ``first`` happens each time."""

    def broken(operation: Operation) -> int | None:
        if (operation.kind, operation.file) != ("write", "memory.reclaim"):
            return None
        first()
        return number

    kernel.broken = broken


def nobody(_: int) -> None:
    """Hears nothing."""


# A limit that goes below what is in use


def test_memory_is_reclaimed_in_steps_of_32_mib_down_to_the_goal_and_each_use_is_told(
    kernel: FakeKernel, ve: Cgroup
) -> None:
    told: list[int] = []
    reclaim(ve, 200 * M, 1, 300 * M, told.append)
    assert asked(kernel) == [str(size * M) for size in (32, 32, 32, 4)]
    assert told == [size * M for size in (268, 236, 204, 200)]


def test_nothing_is_reclaimed_where_the_use_is_at_the_goal_already(kernel: FakeKernel, ve: Cgroup) -> None:
    told: list[int] = []
    reclaim(ve, 300 * M, 0, 300 * M, told.append)
    assert (written(kernel), told) == ([], [])


def test_memory_that_cannot_be_reclaimed_is_an_error_that_says_how_far_it_got_and_what_to_do(
    node: Node, ve: Cgroup
) -> None:
    node.cache, node.anon = 100 * M, 200 * M
    with pytest.raises(ShrinkError) as caught:
        reclaim(ve, 50 * M, 1.5, 310 * M, nobody)
    assert str(caught.value) == (
        "memory.max: cannot set 50M on /rctl-web1: 200M in use (of 310M before) and not reclaimable within 1.5 s. "
        "Free memory in the VE, add swap, raise --deadline, or use --force (the kernel may then kill)"
    )


def test_while_there_is_nothing_to_reclaim_the_kernel_is_asked_fifty_times_a_second_till_the_deadline(
    kernel: FakeKernel, node: Node, ve: Cgroup
) -> None:
    node.cache, node.anon = 0, 300 * M
    kernel.now = 1000.0
    with pytest.raises(ShrinkError):
        reclaim(ve, 50 * M, 1.01, 300 * M, nobody)
    assert len(asked(kernel)) == 51
    assert kernel.now == pytest.approx(1001.01)


def test_at_the_very_deadline_it_is_over(kernel: FakeKernel, ve: Cgroup) -> None:
    with pytest.raises(ShrinkError, match="300M in use"):
        reclaim(ve, 50 * M, 0, 300 * M, nobody)
    assert asked(kernel) == []


def test_a_goal_that_is_reached_at_the_deadline_is_reached(kernel: FakeKernel, ve: Cgroup) -> None:
    def slowly() -> None:
        kernel.now += 10

    after_each(kernel, "memory.reclaim", slowly)
    reclaim(ve, 290 * M, 1, 300 * M, nobody)
    assert kernel.now == 10


@pytest.mark.parametrize(("stalled", "rest"), [(0.3125, 0.5), (0.25, 0), (0.125, 0)])
def test_a_ve_that_reclaim_makes_wait_more_than_half_of_the_time_rests_as_long(
    kernel: FakeKernel, node: Node, ve: Cgroup, stalled: float, rest: float
) -> None:
    node.stalled, kernel.now = 7_000_000, 64.0

    def wait() -> None:
        kernel.now += 0.5
        node.stalled += int(stalled * 1_000_000)

    after_each(kernel, "memory.reclaim", wait)
    reclaim(ve, 270 * M, 9, 300 * M, nobody)
    assert kernel.now == pytest.approx(64.5 + rest, abs=1e-5)


def test_a_rest_ends_at_the_deadline(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    def wait() -> None:
        kernel.now += 0.5
        node.stalled += 500_000

    after_each(kernel, "memory.reclaim", wait)
    with pytest.raises(ShrinkError, match="268M in use"):
        reclaim(ve, 0, 0.75, 300 * M, nobody)
    assert kernel.now == 0.75


def test_a_rest_after_the_deadline_is_none(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    def wait() -> None:
        kernel.now += 2
        node.stalled += 2_000_000

    after_each(kernel, "memory.reclaim", wait)
    with pytest.raises(ShrinkError, match="268M in use"):
        reclaim(ve, 0, 1, 300 * M, nobody)
    assert kernel.now == pytest.approx(2, abs=1e-5)


def test_where_the_kernel_counts_no_pressure_there_is_no_rest(kernel: FakeKernel, ve: Cgroup) -> None:
    kernel.lacks.add("memory.pressure")
    reclaim(ve, 200 * M, 1, 300 * M, nobody)
    assert (ve.read("memory.current").strip(), kernel.now) == (str(200 * M), 0)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, errno.EBUSY])
def test_a_kernel_that_is_busy_is_asked_again_after_a_pause(kernel: FakeKernel, ve: Cgroup, number: int) -> None:
    def once() -> None:
        kernel.broken = lambda _: None

    refuse(kernel, number, once)
    reclaim(ve, 280 * M, 1, 300 * M, nobody)
    assert asked(kernel) == [str(20 * M)] * 2
    assert kernel.now == 0.02


def test_any_other_error_of_the_kernel_is_raised(kernel: FakeKernel, ve: Cgroup) -> None:
    refuse(kernel, errno.EIO)
    with pytest.raises(KernelError, match=r"memory\.reclaim: .* on /rctl-web1"):
        reclaim(ve, 280 * M, 1, 300 * M, nobody)


# Before Linux 5.19, without memory.reclaim


@pytest.fixture
def old(kernel: FakeKernel) -> FakeKernel:
    kernel.lacks.add("memory.reclaim")
    return kernel


def test_on_an_old_kernel_memory_high_does_the_work_and_is_put_back(old: FakeKernel, ve: Cgroup) -> None:
    told: list[int] = []
    reclaim(ve, 200 * M, 1, 300 * M, told.append)
    assert written(old) == [("memory.high", str(200 * M)), ("memory.high", "max")]
    assert told == [200 * M]
    assert old.now == 0


def test_on_an_old_kernel_a_lower_memory_high_is_never_raised(old: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.files["memory.high"] = str(100 * M)
    reclaim(ve, 200 * M, 1, 300 * M, nobody)
    assert written(old) == [("memory.high", str(100 * M))] * 2


def test_on_an_old_kernel_a_higher_memory_high_is_lowered_and_put_back(old: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.files["memory.high"] = str(250 * M)
    reclaim(ve, 200 * M, 1, 300 * M, nobody)
    assert written(old) == [("memory.high", str(200 * M)), ("memory.high", str(250 * M))]


def test_on_an_old_kernel_what_cannot_be_reclaimed_is_tried_till_the_deadline(
    old: FakeKernel, node: Node, ve: Cgroup
) -> None:
    node.cache, node.anon = 0, 300 * M
    with pytest.raises(ShrinkError, match="300M in use"):
        reclaim(ve, 200 * M, 0.05, 300 * M, nobody)
    assert len(written(old)) == 2 * 3
    assert old.get("/rctl-web1", "memory.high") == "max"


def test_on_an_old_kernel_memory_high_is_put_back_after_ctrl_c(old: FakeKernel, ve: Cgroup) -> None:
    def stop() -> None:
        old.watch = lambda _: None
        raise KeyboardInterrupt

    after_each(old, "memory.high", stop)
    with pytest.raises(KeyboardInterrupt):
        reclaim(ve, 200 * M, 1, 300 * M, nobody)
    assert old.get("/rctl-web1", "memory.high") == "max"


# rctl reclaim: so much, whatever the limits


def test_so_much_is_freed_in_steps_of_32_mib_and_each_sum_is_told(kernel: FakeKernel, ve: Cgroup) -> None:
    told: list[int] = []
    assert free(ve, 100 * M, 1, told.append) == 100 * M
    assert told == [size * M for size in (32, 64, 96, 100)]
    assert asked(kernel) == [str(size * M) for size in (32, 32, 32, 4)]
    assert ve.read("memory.current").strip() == str(200 * M)


def test_where_there_is_less_it_ends_and_says_how_much_that_was(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.cache, node.anon = 50 * M, 100 * M
    told: list[int] = []
    assert free(ve, 100 * M, 1, told.append) == 50 * M
    assert told == [32 * M, 50 * M]
    assert len(asked(kernel)) == 3


def test_nothing_is_freed_where_there_is_nothing(node: Node, ve: Cgroup) -> None:
    node.cache, node.anon = 0, 100 * M
    told: list[int] = []
    assert (free(ve, 100 * M, 1, told.append), told) == (0, [])


def test_freeing_ends_at_the_deadline(kernel: FakeKernel, ve: Cgroup) -> None:
    def slowly() -> None:
        kernel.now += 1

    kernel.now = 64.0
    after_each(kernel, "memory.reclaim", slowly)
    assert free(ve, 200 * M, 2, nobody) == 64 * M


def test_where_the_kernel_falls_short_and_the_ve_grows_nothing_was_freed(
    kernel: FakeKernel, node: Node, ve: Cgroup
) -> None:
    def grow() -> None:
        node.anon += 1 * M

    refuse(kernel, errno.EAGAIN, grow)
    assert free(ve, 100 * M, 1, nobody) == 0


def test_what_the_kernel_freed_counts_even_if_the_ve_takes_as_much_meanwhile(
    kernel: FakeKernel, node: Node, ve: Cgroup
) -> None:
    def grow() -> None:
        node.anon += 32 * M

    after_each(kernel, "memory.reclaim", grow)
    assert free(ve, 100 * M, 1, nobody) == 100 * M


def test_memory_that_the_ve_gives_up_itself_counts_for_no_more_than_was_asked_for(
    kernel: FakeKernel, node: Node, ve: Cgroup
) -> None:
    def give() -> None:
        node.cache -= 50 * M

    refuse(kernel, errno.EAGAIN, give)
    told: list[int] = []
    assert free(ve, 40 * M, 1, told.append) == 40 * M
    assert told == [32 * M, 40 * M]


def test_swappiness_goes_along_with_each_step(kernel: FakeKernel, ve: Cgroup) -> None:
    kernel.knows_swappiness = True
    assert free(ve, 40 * M, 1, nobody, 0) == 40 * M
    assert asked(kernel) == [f"{32 * M} swappiness=0", f"{8 * M} swappiness=0"]


def test_a_kernel_that_takes_no_swappiness_is_told_of(ve: Cgroup) -> None:
    with pytest.raises(NotAvailableError) as caught:
        free(ve, 40 * M, 1, nobody, 200)
    assert str(caught.value) == (
        "memory.reclaim: this kernel takes no swappiness (it came with Linux 6.11). Leave --swappiness out"
    )


@pytest.mark.parametrize(("number", "swappiness"), [(errno.EINVAL, None), (errno.EIO, 60)])
def test_what_is_not_about_swappiness_is_not_told_as_such(
    kernel: FakeKernel, ve: Cgroup, number: int, swappiness: int | None
) -> None:
    refuse(kernel, number)
    with pytest.raises(KernelError):
        free(ve, 40 * M, 1, nobody, swappiness)


# memory.high on its way down


def highs(kernel: FakeKernel) -> list[str]:
    return [text for file, text in written(kernel) if file == "memory.high"]


def test_memory_high_is_lowered_by_32_mib_at_once_until_one_more_write_is_enough(
    kernel: FakeKernel, node: Node, ve: Cgroup
) -> None:
    node.cache = 100 * M
    lower_high(ve, 10 * M, 1)
    assert highs(kernel) == [str(68 * M), str(36 * M)]


def test_a_last_step_of_32_mib_is_left_to_the_caller(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.cache = 74 * M
    lower_high(ve, 10 * M, 1)
    assert highs(kernel) == [str(42 * M)]


@pytest.mark.parametrize("high", [268, 50])
def test_a_memory_high_that_is_as_low_already_is_never_raised(
    kernel: FakeKernel, node: Node, ve: Cgroup, high: int
) -> None:
    node.files["memory.high"] = str(high * M)
    lower_high(ve, 10 * M, 1)
    assert highs(kernel) == []


def test_memory_high_is_lowered_from_where_it_is(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.files["memory.high"] = str(269 * M)
    lower_high(ve, 230 * M, 1)
    assert highs(kernel) == [str(268 * M), str(236 * M)]


def test_where_a_step_frees_nothing_there_is_no_other(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.cache, node.anon = 0, 300 * M
    lower_high(ve, 10 * M, 1)
    assert highs(kernel) == [str(268 * M)]


def test_lowering_ends_early_at_the_deadline(kernel: FakeKernel, ve: Cgroup) -> None:
    def slowly() -> None:
        kernel.now += 1

    kernel.now = 64.0
    after_each(kernel, "memory.high", slowly)
    lower_high(ve, 10 * M, 2)
    assert highs(kernel) == [str(268 * M), str(236 * M)]


# Held meanwhile


def test_a_ve_is_held_at_the_goal_and_then_let_go(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    with held(ve, 100 * M, 1):
        assert (node.current, node.files["memory.high"]) == (100 * M, str(100 * M))
    assert node.files["memory.high"] == "max"


def test_a_ve_that_is_below_the_goal_is_not_touched(kernel: FakeKernel, ve: Cgroup) -> None:
    with held(ve, 300 * M, 1):
        assert written(kernel) == []
    assert written(kernel) == []


def test_a_memory_high_below_the_goal_is_kept(kernel: FakeKernel, node: Node, ve: Cgroup) -> None:
    node.files["memory.high"] = str(50 * M)
    with held(ve, 100 * M, 1):
        assert node.files["memory.high"] == str(50 * M)
    assert node.files["memory.high"] == str(50 * M)


def test_a_ve_that_cannot_be_held_is_let_go(node: Node, ve: Cgroup) -> None:
    node.cache, node.anon = 0, 300 * M
    with pytest.raises(ShrinkError, match="300M in use"), held(ve, 100 * M, 0.1):
        raise AssertionError("it was held")
    assert node.files["memory.high"] == "max"
