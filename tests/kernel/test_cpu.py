"""CPU time: caps, bursts and shares, written, read back and felt."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rctl.errors import KernelError, UsageError
from tests.kernel.helpers import Ve, lacks, refused, set_all
from tests.kernel.workload import burner, burster, until, window


@contextmanager
def cpu_used(*ves: Ve) -> Iterator[list[int]]:
    """Microseconds of CPU time that each VE uses inside the block."""
    used = [-ve.count("cpu.stat", "usage_usec") for ve in ves]
    yield used
    for number, ve in enumerate(ves):
        used[number] += ve.count("cpu.stat", "usage_usec")


@pytest.mark.parametrize("cpus", [0.25, 0.5])
def test_cap_is_obeyed(ve: Ve, cpus: float) -> None:
    ve.set({"cpu.max": cpus})
    assert ve.text("cpu.max") == f"{int(cpus * 100000)} 100000"
    burner(ve.dir)
    until(lambda: ve.count("cpu.stat", "nr_throttled") > 1, "throttling")
    begin, used = time.monotonic(), ve.count("cpu.stat", "usage_usec")
    throttled = ve.count("cpu.stat", "throttled_usec")

    def as_the_cap() -> bool:
        seconds = time.monotonic() - begin
        mean = (ve.count("cpu.stat", "usage_usec") - used) / 1e6 / seconds
        return seconds >= 2 and mean == pytest.approx(cpus, rel=0.15)

    # A host that is busy stops the guest, which counts that as use at once and takes it back in later periods. So the
    # mean comes to the cap after a while; without a cap it never does.
    until(as_the_cap, f"a mean use of {cpus} CPUs", 60)
    assert ve.count("cpu.stat", "throttled_usec") > throttled


def test_cap_can_be_lifted_while_the_ve_runs(ve: Ve) -> None:
    ve.set({"cpu.max": "10%"})
    burner(ve.dir)
    until(lambda: ve.count("cpu.stat", "nr_throttled"), "throttling")
    ve.set({"cpu.max": "max"})
    assert ve.text("cpu.max") == "max 100000"
    with cpu_used(ve) as used:
        seconds = window(0.5)
    assert used[0] / 1e6 / seconds > 0.3


def test_new_period_keeps_the_number_of_cpus(ve: Ve) -> None:
    ve.set({"cpu.max": 0.5})
    ve.set({"cpu.period": "20ms"})
    assert ve.text("cpu.max") == "10000 20000"
    ve.set({"cpu.max": 1.5})
    assert ve.text("cpu.max") == "30000 20000"


def test_quota_below_the_kernels_least_is_refused_with_the_remedy(ve: Ve) -> None:
    with refused(UsageError, "Raise cpu.period", ve):
        ve.set({"cpu.max": "1%", "cpu.period": "10ms"})


def test_burst_lets_a_rested_ve_exceed_its_quota(ve: Ve) -> None:
    if lacks(ve, "cpu.max.burst", {"cpu.burst": "20ms"}):
        return
    ve.set({"cpu.max": 0.2, "cpu.burst": "20ms"})
    assert ve.text("cpu.max.burst") == "20000"
    burster(ve.dir)
    if "nr_bursts" in ve.text("cpu.stat"):
        until(lambda: ve.count("cpu.stat", "nr_bursts"), "a burst")


def test_burst_and_quota_change_together_in_either_direction(ve: Ve) -> None:
    if lacks(ve, "cpu.max.burst", {"cpu.max": 1.0, "cpu.burst": "80ms"}):
        return
    for cpus, burst in ((1.0, "80ms"), (0.2, "10ms"), (0.5, "50ms")):
        ve.set({"cpu.max": cpus, "cpu.burst": burst})
        assert ve.text("cpu.max.burst") == burst.removesuffix("ms") + "000"
        assert ve.text("cpu.max") == f"{int(cpus * 100000)} 100000"


def test_burst_above_the_quota_is_refused(ve: Ve) -> None:
    if lacks(ve, "cpu.max.burst", {"cpu.burst": "200ms", "pids.max": 50}):
        return
    ve.set({"cpu.max": 0.5, "pids.max": 100})
    with refused(KernelError, "cpu.max.burst: .* EINVAL: burst must not exceed the quota", ve):
        ve.set({"cpu.burst": "200ms", "pids.max": 50, "cpu.weight": 300})


def test_weights_share_one_cpu(ve: Ve, other: Ve) -> None:
    set_all(ve.tree, {ve: {"cpu.weight": 100, "cpuset.cpus": 0}, other: {"cpu.weight": 400, "cpuset.cpus": 0}})
    assert (ve.text("cpu.weight"), other.text("cpu.weight")) == ("100", "400")
    burner(ve.dir)
    burner(other.dir)
    before = [one.count("cpu.stat", "usage_usec") for one in (ve, other)]

    def as_the_weights() -> bool:
        used = [one.count("cpu.stat", "usage_usec") - was for one, was in zip((ve, other), before, strict=True)]
        return sum(used) > 2_000_000 and used[1] / used[0] == pytest.approx(4, rel=0.3)

    # A host that is busy takes the guest's time in large parts, so it may take a while until they come out even.
    until(as_the_weights, "four times the time for four times the weight", 60)


def test_idle_yields_to_everybody_else(ve: Ve, other: Ve) -> None:
    if lacks(ve, "cpu.idle", {"cpu.weight": "idle"}):
        return
    set_all(ve.tree, {ve: {"cpu.weight": "idle", "cpuset.cpus": 0}, other: {"cpu.weight": 100, "cpuset.cpus": 0}})
    assert ve.text("cpu.idle") == "1"
    assert ve.text("cpu.weight") in ("0", "1")  # 1 by 7.2
    burner(ve.dir)
    burner(other.dir)
    with cpu_used(ve, other) as used:
        window(1)
    assert used[0] < used[1] * 0.1


def test_weight_ends_idle(ve: Ve) -> None:
    if ve.able("cpu.idle"):
        ve.set({"cpu.weight": "idle"})
    ve.set({"cpu.weight": 300})
    assert ve.text("cpu.weight") == "300"
    assert not ve.has("cpu.idle") or ve.text("cpu.idle") == "0"
