"""Limits in force that a host does not enforce: each reason where it holds and where not, and who tells it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from rctl.adjust.caveats.caveats import caveats
from rctl.adjust.steps import Set
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.mounts import Mount
from rctl.cgroupfs.policies import policies
from rctl.cgroupfs.tree import Tree
from rctl.doctor.host import sched_ext
from rctl.doctor.limits_in_force import checks, summed_up
from rctl.host import Host
from rctl.not_enforced import HUGETLB, REASONS, Conditions, NotEnforced, check
from rctl.sample.in_force import not_enforced
from rctl.sample.limits_in_force import Standing
from rctl.sample.member import Member
from rctl.sample.sections import lines
from rctl.sample.view import views
from rctl_exporter.enforcement import EVERY, TURN, Enforcement
from rctl_exporter.limit_families import values

from .exporter_frames import block, framed, member
from .test_exporter_page import rendered

GIB = 1 << 30
PLAIN = {
    "/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\nHugetlb: 0 kB\n",
    "/proc/swaps": "Filename Type Size Used Priority\n/dev/vda2 partition 1048572 0 -2\n",
    "/sys/module/zswap/parameters/enabled": "Y\n",
    "/sys/devices/system/cpu/online": "0-1\n",
}
EXT = {
    "/sys/kernel/sched_ext/state": "enabled\n",
    "/sys/kernel/sched_ext/root/ops": "lavd\n",
    "/sys/kernel/sched_ext/switch_all": "1\n",
}
PARTLY = {**EXT, "/sys/kernel/sched_ext/switch_all": "0\n"}
UNLOADED = {"/sys/kernel/sched_ext/state": "disabled\n", "/sys/kernel/sched_ext/switch_all": "0\n"}
NO_SWAP = {"/proc/swaps": "Filename Type Size Used Priority\n"}
NO_ZSWAP = {"/sys/module/zswap/parameters/enabled": "N\n"}
HUGE = {"/proc/meminfo": "MemTotal: 8388608 kB\nHugetlb: 4096 kB\n"}
HALF = "50000 100000"


def a_host(facts: Mapping[str, str]) -> Host:
    def read(path: str) -> str:
        if path not in (known := {**PLAIN, **facts}):
            raise FileNotFoundError(path)
        return known[path]

    return Host(read)


@pytest.mark.parametrize(
    ("file", "entry", "facts", "reason"),
    [
        ("cpu.max", HALF, EXT, "sched_ext"),
        ("cpu.max.burst", "1000", EXT, "sched_ext"),
        ("cpu.weight", "200", EXT, "sched_ext"),
        ("cpu.idle", "1", EXT, "sched_ext"),
        ("memory.swap.max", "4096", NO_SWAP, "no_swap"),
        ("memory.swap.high", "4096", NO_SWAP, "no_swap"),
        ("memory.zswap.max", "4096", NO_ZSWAP, "no_zswap"),
        ("memory.zswap.writeback", "0", NO_ZSWAP, "no_zswap"),
    ],
)
def test_a_fact_of_the_host_makes_a_limit_void(file: str, entry: str, facts: dict[str, str], reason: str) -> None:
    assert [(one.limit, one.reason) for one in check(file, "", entry, Conditions(a_host(facts)))] == [(file, reason)]
    assert list(check(file, "", entry, Conditions(a_host({})))) == []


@pytest.mark.parametrize(
    ("file", "entry"),
    [("cpu.max", "max 100000"), ("cpu.max.burst", "0"), ("cpu.weight", "100"), ("cpu.weight", "0"), ("cpu.idle", "0"),
     ("memory.swap.max", "max"), ("memory.swap.max", "0"), ("memory.zswap.writeback", "1"), ("memory.max", "max")],
)  # fmt: skip
def test_of_a_value_that_limits_nothing_nothing_is_said(file: str, entry: str) -> None:
    on = Conditions(a_host({**EXT, **NO_SWAP, **NO_ZSWAP, **HUGE}), policies=lambda: {1: [7]}, huge=lambda: GIB)
    assert list(check(file, "", entry, on)) == []


@pytest.mark.parametrize("facts", [UNLOADED, PARTLY])
def test_a_sched_ext_scheduler_that_does_not_run_all_threads_voids_no_limit(facts: dict[str, str]) -> None:
    assert list(check("cpu.max", "", HALF, Conditions(a_host(facts)))) == []


@pytest.mark.parametrize(
    ("found", "facts", "words"),
    [
        ({1: [41]}, {}, "cpu.max does not hold 1 of its threads, with a real-time or deadline policy"),
        (
            {2: [41], 6: [42]},
            {},
            "2 of its threads, with a real-time or deadline policy. Give them the usual one: chrt",
        ),
        ({7: [41]}, PARTLY, "1 of its threads, which the sched_ext scheduler lavd runs"),
        ({7: [41]}, UNLOADED, ""),
        ({}, PARTLY, ""),
    ],
)
def test_threads_that_the_fair_class_does_not_run_are_told(
    found: dict[int, list[int]], facts: dict[str, str], words: str
) -> None:
    said = list(check("cpu.max", "", HALF, Conditions(a_host(facts), policies=lambda: found)))
    assert [one.reason for one in said] == ["policy"] * bool(words)
    assert all(words in one.why for one in said)


def test_huge_pages_count_by_a_mount_option_alone() -> None:
    on = Conditions(a_host(HUGE), huge=lambda: 4 << 20)
    (one,) = check("memory.max", "", str(GIB), on)
    assert one.why.startswith("memory.max does not count 4M of huge pages that the VE uses. Limit them with hugetlb.")
    assert list(check("memory.max", "", str(GIB), msgspec.structs.replace(on, hugetlb_counted=True))) == []
    assert list(check("memory.max", "", str(GIB), msgspec.structs.replace(on, huge=lambda: 0))) == []


def test_every_reason_is_told_by_the_caveats_of_a_change_too() -> None:
    assert {reason.word for reason in REASONS} == {
        "sched_ext",
        "policy",
        "no_weights",
        "no_requests",
        "no_swap",
        "no_zswap",
        "huge_pages",
    }
    machine: Any = SimpleNamespace(mount=Mount("/x"), root=None)
    said = caveats(machine, [Set("/a", "cpu.max", "max 100000", HALF)], {}, planned=True, host=a_host(EXT))
    assert said == [
        "cpu.max: the sched_ext scheduler lavd runs this host: without effect, unless lavd itself heeds cpu.max"
    ]


def test_the_same_fact_of_many_ves_is_one_line() -> None:
    machine: Any = SimpleNamespace(mount=Mount("/x"), root=None)
    steps = [Set(f"/a{n}", "cpu.weight", "100", "200") for n in range(50)]
    assert len(caveats(machine, steps, {}, planned=True, host=a_host(EXT))) == 1


def test_the_entries_of_a_file_are_looked_at_one_by_one() -> None:
    facts = {"/sys/dev/block/8:0/queue/scheduler": "[none]\n", "/sys/dev/block/8:0/uevent": "DEVNAME=sda\n"}
    texts = {"io.weight": "default 200\n8:0 300\n9:9 7\n", "memory.swap.max": "4096\n", "pids.max": "5\n"}
    said = not_enforced(texts, Conditions(a_host({**facts, **NO_SWAP})))
    # Nothing is known of 9:9, which was removed.
    assert [(one.limit, one.device, one.reason) for one in said] == [
        ("io.weight", "", "no_weights"), ("io.weight", "8:0", "no_weights"), ("memory.swap.max", "", "no_swap"),
    ]  # fmt: skip
    on = Conditions(a_host({**facts, **NO_SWAP}), iocost=lambda: {"8:0"}, bfq=lambda: True)
    assert [one.reason for one in not_enforced(texts, on)] == ["no_swap"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    texts = {
        "cgroup.procs": "",
        "cgroup.events": "populated 0\nfrozen 0\n",
        "cpu.max": f"{HALF}\n",
        "cpu.weight": "7\n",
    }
    for name in ("web1", "web2"):
        (tmp_path / f"rctl-{name}").mkdir()
        for file, text in texts.items():
            (tmp_path / f"rctl-{name}" / file).write_text(text)
    (tmp_path / "rctl-web1" / "cgroup.threads").write_text(f"0\n{os.getpid()}\n4194305\n")
    (tmp_path / "cgroup.procs").write_text("1\n")
    return Tree(Cgroup("/", os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)))


def test_show_tells_it_for_people_and_for_programs(tree: Tree) -> None:
    (view,) = views(tree, ["web1"], {**PLAIN, **EXT}.get)
    shown = list(lines(view, str))
    start = shown.index("not enforced")
    assert shown[start + 1].startswith("  cpu.max: the sched_ext scheduler lavd runs this host")
    assert [(one.limit, one.reason) for one in view.exact()["not_enforced"]] == [
        ("cpu.max", "sched_ext"), ("cpu.weight", "sched_ext"),
    ]  # fmt: skip
    (view,) = views(tree, ["web1"], PLAIN.get)
    assert "not enforced" not in list(lines(view, str))


def test_doctor_tells_each_limit_and_reason_once(tree: Tree) -> None:
    assert [(one.state, one.found) for one in checks(tree, a_host({}))] == [
        ("ok", "this host enforces those of rctl's VEs")
    ]
    found = checks(tree, a_host(EXT))
    assert [one.state for one in found] == ["warn", "warn"]
    assert found[0].found.startswith("cpu.max of web1, web2: not enforced: cpu.max: the sched_ext scheduler lavd")


def test_doctor_names_a_few_of_many_ves_and_the_remedy() -> None:
    one = NotEnforced("cpu.max", "", "policy", "cpu.max does not hold 1 of its threads. Give it another")
    (said,) = summed_up((f"ve{n}", one) for n in range(9))
    assert (
        said.found == "cpu.max of ve0, ve1, ve2 and 6 more: not enforced: ve0: cpu.max does not hold 1 of its threads"
    )
    assert said.remedy == "Give it another"


@pytest.mark.parametrize(
    ("state", "ops", "level", "words"),
    [
        ("", "", "ok", "not in this kernel"),
        ("disabled\n", "", "ok", "no scheduler"),
        ("enabled\n", "lavd\n", "warn", "lavd is"),
    ],
)
def test_doctor_says_which_scheduler_is_loaded(state: str, ops: str, level: str, words: str) -> None:
    found = sched_ext(state, ops)
    assert (found.state, words in found.found) == (level, True)


class TestPolicies:
    def test_ordinary_threads_and_those_that_are_gone_or_not_seen_are_left_out(self, tree: Tree) -> None:
        with tree.open_ve("web1") as ve:
            assert policies(ve) == {}

    def test_threads_of_cgroups_below_count_up_to_a_bound(
        self, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        below = tmp_path / "rctl-web1" / "below"
        below.mkdir()
        (below / "cgroup.threads").write_text("11\n12\n13\n")
        asked: list[int] = []

        def getscheduler(tid: int) -> int:
            asked.append(tid)
            return {11: 1, 12: 2 | 0x40000000, 13: 3}.get(tid, 0)

        monkeypatch.setattr("os.sched_getscheduler", getscheduler)
        with tree.open_ve("web1") as ve:
            assert policies(ve) == {1: [11], 2: [12]}
            asked.clear()
            policies(ve, most=3)
        assert len(asked) == 3


class Exporter:
    """The exporter's part, with a clock and a host of the test's own."""

    def __init__(self, tree: Tree, count: int = 2) -> None:
        self.now, self.facts, self.read = 0.0, dict(PLAIN), 0
        self.stands = {a_member(n): Standing({"cpu.max": f"{HALF}\n"}, {}) for n in range(count)}
        self.enforcement = Enforcement(tree, lambda: self.now, self.host)

    def host(self) -> Host:
        self.read += 1
        return a_host(self.facts)

    def refresh(self) -> list[tuple[tuple[str, str], ...]]:
        self.enforcement.refresh(self.stands)
        return [self.enforcement.reasons(member) for member in self.stands]


def a_member(number: int) -> Member:
    found = member(f"web{number}")
    cast("Any", found.node).names = lambda: ("cpu.max",)
    return found


class TestExporter:
    def test_a_scheduler_that_is_loaded_shows_within_half_a_minute(self, tree: Tree) -> None:
        exporter = Exporter(tree)
        assert exporter.refresh() == [(), ()]
        exporter.facts |= EXT
        version, read = exporter.enforcement.version, exporter.read
        assert exporter.refresh() == [(), ()]
        assert exporter.read == read, "the host is not read again in each scrape"
        exporter.now += EVERY
        assert exporter.refresh() == [(("cpu.max", "sched_ext"),)] * 2
        assert exporter.enforcement.version > version
        version = exporter.enforcement.version
        exporter.now += EVERY
        exporter.refresh()
        assert exporter.enforcement.version == version

    def test_a_limit_that_is_set_shows_at_once(self, tree: Tree) -> None:
        exporter = Exporter(tree)
        exporter.facts |= NO_SWAP
        exporter.refresh()
        first, *_ = exporter.stands
        exporter.stands = {**exporter.stands, first: Standing({"memory.swap.max": "4096\n"}, {})}
        assert exporter.refresh() == [(("memory.swap.max", "no_swap"),), ()]

    def test_threads_of_all_ves_are_looked_at_first_and_by_turns_later(
        self, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        found: dict[int, list[int]] = {1: [5]}

        def look(cgroup: Any) -> dict[int, list[int]]:
            seen.append(cgroup.path)
            return found

        monkeypatch.setattr("rctl_exporter.enforcement.policies", look)
        monkeypatch.setattr(tree.__class__, "walk", lambda _, path: _Opened(path))
        exporter = Exporter(tree, 100)
        assert exporter.refresh() == [(("cpu.max", "policy"),)] * 100
        assert len(seen) == 100
        found = {}
        exporter.now += EVERY
        exporter.refresh()
        exporter.now += EVERY
        assert exporter.refresh() == [()] * 100
        assert len(seen) == 200, f"{TURN} and the other {100 - TURN}"

    def test_the_page_shows_limit_and_reason(self) -> None:
        stands = Standing({"cpu.max": f"{HALF}\n"}, {})
        (slot,) = [slot for slot in values(stands, {}, (("io.weight 8:0", "no_weights"),)) if slot.label]
        page = rendered(framed(block(slot.family, [member("web1")], [b"1"], slot.label)), False)
        assert 'rctl_ve_limit_not_enforced{setting="io.weight sda",reason="no_weights",ve="web1"} 1\n' in page


class _Opened:
    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_the_mount_option_has_the_kernels_name() -> None:
    assert HUGETLB == "memory_hugetlb_accounting"
