"""Each limit's file as metric values."""

from __future__ import annotations

import pytest

from rctl.ranges import Ranges
from rctl.sample.effective import Bound
from rctl.sample.limits_in_force import Standing, _chosen
from rctl.units import MAX
from rctl_exporter.columns import wanted
from rctl_exporter.frame import limit_blocks
from rctl_exporter.limit_families import files, values
from rctl_exporter.settings import PROFILES, Selection

from .exporter_frames import member


def shown(
    texts: dict[str, str], bounds: dict[str, Bound] | None = None, drift: dict[str, bool] | None = None
) -> dict[str, str]:
    found = values(Standing(texts, bounds or {}), drift or {})
    return {f"{place.family.name} {place.label}".strip(): value.decode() for place, value in found.items()}


SINGLE = {
    "memory.min": "memory_min_bytes",
    "memory.low": "memory_low_bytes",
    "memory.high": "memory_high_bytes",
    "memory.max": "memory_max_bytes",
    "memory.swap.high": "swap_high_bytes",
    "memory.swap.max": "swap_max_bytes",
    "memory.zswap.max": "zswap_max_bytes",
    "pids.max": "pids_max",
}


class TestSingle:
    @pytest.mark.parametrize(("file", "name"), SINGLE.items())
    def test_a_number_no_limit_and_none_at_all(self, file: str, name: str) -> None:
        assert shown({file: "1048576\n"}) == {name: "1048576"}
        assert shown({file: "max\n"}) == {name: "+Inf"}
        assert shown({file: "0\n"}) == {name: "0"}

    def test_the_largest_number_is_exact(self) -> None:
        assert shown({"memory.max": "9223372036854771712\n"}) == {"memory_max_bytes": "9223372036854771712"}

    def test_weights_and_switches(self) -> None:
        assert shown({"cpu.weight": "100\n", "cpu.idle": "0\n", "memory.oom.group": "1\n"}) == {
            "cpu_weight": "100",
            "cpu_idle": "0",
            "memory_oom_group": "1",
        }

    def test_what_is_not_there_is_absent(self) -> None:
        assert shown({}) == {}

    def test_what_is_no_limit_is_not_shown(self) -> None:
        assert shown({"cgroup.freeze": "0\n", "cpuset.cpus.partition": "member\n", "cpuset.mems": "0\n"}) == {}


class TestHugePages:
    def test_the_limit_of_pages_is_shown_and_that_of_reservations_is_not_taken_for_it(self) -> None:
        texts = {"hugetlb.2MB.max": "4194304\n", "hugetlb.2MB.rsvd.max": "max\n"}
        assert shown(texts) == {"hugetlb_max_bytes 2MB": "4194304"}

    def test_both_are_read_so_that_drift_of_both_is_seen(self) -> None:
        both = ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max")
        assert _chosen(None, frozenset(both), (*both, "hugetlb.2MB.current")) == both


class TestCpu:
    @pytest.mark.parametrize(
        ("text", "cores", "period"),
        [
            ("max 100000\n", "+Inf", "100000e-6"),
            ("150000 100000\n", "1.5", "100000e-6"),
            ("1000 1000000\n", "0.001", "1000000e-6"),
            ("100000 100000\n", "1.0", "100000e-6"),
            ("100000 30000\n", "3.3333333333333335", "30000e-6"),
        ],
    )
    def test_cpu_max(self, text: str, cores: str, period: str) -> None:
        assert shown({"cpu.max": text}) == {"cpu_limit_cores": cores, "cpu_period_seconds": period}

    def test_the_burst(self) -> None:
        assert shown({"cpu.max.burst": "20000\n"}) == {"cpu_burst_limit_seconds": "20000e-6"}
        assert shown({"cpu.max.burst": "0\n"}) == {"cpu_burst_limit_seconds": "0e-6"}

    @pytest.mark.parametrize(("text", "number"), [("0-3,8\n", "5"), ("0\n", "1"), ("\n", "0"), ("0-1023\n", "1024")])
    def test_cpus_are_counted(self, text: str, number: str) -> None:
        assert shown({"cpuset.cpus.effective": text}) == {"cpuset_effective_cpus": number}


class TestDevices:
    def test_io_max_of_several(self) -> None:
        text = "8:0 rbps=1048576 wbps=max riops=max wiops=120\n253:1 rbps=max wbps=2 riops=3 wiops=max\n"
        assert shown({"io.max": text}) == {
            "io_max_read_bytes_per_second 8:0": "1048576",
            "io_max_write_bytes_per_second 8:0": "+Inf",
            "io_max_reads_per_second 8:0": "+Inf",
            "io_max_writes_per_second 8:0": "120",
            "io_max_read_bytes_per_second 253:1": "+Inf",
            "io_max_write_bytes_per_second 253:1": "2",
            "io_max_reads_per_second 253:1": "3",
            "io_max_writes_per_second 253:1": "+Inf",
        }

    def test_io_max_of_none(self) -> None:
        assert shown({"io.max": ""}) == {}

    def test_io_latency(self) -> None:
        text = "8:0 target=75000\n8:16 target=1 depth=max use_delay=0\n"
        assert shown({"io.latency": text}) == {
            "io_latency_target_seconds 8:0": "75000e-6",
            "io_latency_target_seconds 8:16": "1e-6",
        }

    def test_io_weight_is_the_default(self) -> None:
        assert shown({"io.weight": "default 50\n8:0 200\n"}) == {"io_weight": "50"}
        assert shown({"io.weight": "8:0 200\n"}) == {}

    def test_huge_pages_by_size(self) -> None:
        assert shown({"hugetlb.2MB.max": "4194304\n", "hugetlb.1GB.max": "max\n"}) == {
            "hugetlb_max_bytes 2MB": "4194304",
            "hugetlb_max_bytes 1GB": "+Inf",
        }

    def test_scalar_resources(self) -> None:
        assert shown({"misc.max": "sev max\nsev_es 10\n"}) == {"misc_max sev": "+Inf", "misc_max sev_es": "10"}
        assert shown({"misc.max": ""}) == {}


@pytest.mark.parametrize(
    "odd", ["", "\n", "odd", "max\n", "1 2 3", "max max max\n", "8:0\n", "8:0 rbps\n", "8:0 rbps=odd\n"]
)
@pytest.mark.parametrize(
    "file", [*SINGLE, "cpu.max", "cpu.max.burst", "cpu.weight", "io.max", "io.latency", "io.weight", "misc.max"]
)
def test_an_odd_text_costs_its_own_values_alone(file: str, odd: str) -> None:
    other = "pids.max" if file != "pids.max" else "memory.max"
    found = shown({file: odd, other: "7\n"})
    assert found[SINGLE[other]] == "7"
    assert all(value == "+Inf" or float(value) >= 0 for value in found.values())


class TestBounds:
    @pytest.mark.parametrize(
        ("limit", "shown_as"), [(MAX, "+Inf"), (0.5, "0.5"), (2.0, "2.0"), (Ranges((0, 1, 5)), "3")]
    )  # fmt: skip
    def test_cpus(self, limit: float | Ranges, shown_as: str) -> None:
        found = shown({}, {"cpu.max": Bound(limit, "/a", "cpu.max")})
        assert found == {"cpu_effective_limit_cores": shown_as}

    def test_memory(self) -> None:
        found = shown({}, {"memory.max": Bound(1 << 40, "host", "memory.max"), "pids.max": Bound(5, "/", "pids.max")})
        assert found == {"memory_effective_limit_bytes": str(1 << 40)}


def test_drift_by_setting() -> None:
    found = shown({}, {}, {"memory.max": True, "io.max 8:0": False})
    assert found == {"limit_drift memory.max": "1", "limit_drift io.max 8:0": "0"}


EVERY = {
    **dict.fromkeys(SINGLE, "1\n"), "memory.oom.group": "1\n", "cpu.weight": "100\n", "cpu.idle": "0\n",
    "cpu.max": "max 100000\n", "cpu.max.burst": "0\n", "cpuset.cpus.effective": "0-1\n", "hugetlb.2MB.max": "max\n",
    "io.max": "8:0 rbps=1 wbps=2 riops=3 wiops=4\n", "io.latency": "8:0 target=5\n", "io.weight": "default 100\n",
    "misc.max": "sev 1\n", "cgroup.freeze": "0\n", "cpuset.mems": "0\n",
}  # fmt: skip


class TestFiles:
    @pytest.mark.parametrize("selection", [*PROFILES.values(), Selection("full", frozenset({"limits"}))])
    def test_all_that_is_shown_is_read_and_nothing_else(self, selection: Selection) -> None:
        wish = files(selection)
        assert wish
        read = wish(tuple(EVERY))
        assert {file for file, text in EVERY.items() if self._shown({file: text}, selection)} == set(read)

    def test_of_who_shows_no_limits_none_are_read(self) -> None:
        assert files(Selection("full", frozenset({"cpu"}))) is None

    @staticmethod
    def _shown(texts: dict[str, str], selection: Selection) -> list[str]:
        return [place.family.name for place in values(Standing(texts, {}), {}) if wanted(place.family, selection)]


def test_each_value_stays_with_its_ve_whatever_limits_others_have() -> None:
    texts = {"a": {"pids.max": "1\n"}, "b": {"pids.max": "2\n", "cpu.idle": "1\n"}, "c": {"pids.max": "1\n"}}
    blocks = limit_blocks({member(name): values(Standing(found, {}), {}) for name, found in texts.items()})
    assert {
        block.family.name: {ve.name: value for ve, value in zip(block.members, block.values, strict=True)}
        for block in blocks
    } == {"pids_max": {"a": b"1", "b": b"2", "c": b"1"}, "cpu_idle": {"b": b"1"}}
    assert len(blocks) == 2


def test_ves_with_the_same_limits_share_one_list() -> None:
    blocks = limit_blocks(
        {member(name): values(Standing({"pids.max": "1\n", "cpu.idle": "0\n"}, {}), {}) for name in "ab"}
    )
    assert len({id(block.members) for block in blocks}) == 1
