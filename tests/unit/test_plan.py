"""The plan: what differs, in a safe order, in words. Pure: no kernel, no files."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rctl.adjust.planning.plan import ended, steps
from rctl.adjust.request import Change, Through
from rctl.adjust.steps import (
    Disable,
    Enable,
    Label,
    Make,
    Move,
    Reclaim,
    Remove,
    Renew,
    Set,
    Start,
    Step,
    lasts,
    shown,
)
from rctl.limits import writes
from tests.unit.fake_files import DEFAULTS
from tests.unit.fake_kernel import FakeKernel, limits

HOST = FakeKernel().host
M = 1 << 20
FRESH = {name: text for files in DEFAULTS.values() for name, text in files.items()}


def change(pairs: dict[str, Any], path: str = "/rctl-web1", **there: Any) -> Change:
    """A wish for a VE whose files read as given (dots as underscores), else as in a new VE."""
    texts = {**FRESH, "memory.current": "0", **{name.replace("_", "."): text for name, text in there.items()}}
    return Change(path, writes(limits(pairs, HOST), HOST), texts)


def plan(*changes: Change, **more: Any) -> tuple[Step, ...]:
    return steps(changes, **more)


def told(*changes: Change, **more: Any) -> list[str]:
    return [step.describe() for step in plan(*changes, **more)]


# In words


def test_a_size_is_told_with_its_unit() -> None:
    assert told(change({"memory.max": "2G"})) == ["/rctl-web1: memory.max: max -> 2G"]


def test_a_device_is_told_with_its_file_and_what_differs() -> None:
    assert told(change({"files.io.max": "8:0 wiops=120"})) == ["/rctl-web1: io.max 8:0: wiops=max -> wiops=120"]


def test_of_a_device_all_that_differs_is_told_and_nothing_else() -> None:
    there = "8:0 rbps=1048576 wbps=max riops=max wiops=max"
    asked = change({"files.io.max": "8:0 rbps=1048576 wbps=2097152 wiops=120"}, io_max=there)
    assert told(asked) == ["/rctl-web1: io.max 8:0: wbps=max wiops=max -> wbps=2097152 wiops=120"]


def test_an_empty_list_is_told_as_such() -> None:
    assert told(change({"cpuset.cpus": "0-1"})) == ['/rctl-web1: cpuset.cpus: "" -> 0-1']


def test_controllers_are_told_as_they_are_written() -> None:
    step = Enable("/", ("memory", "cpu"))
    assert step.describe() == "/: cgroup.subtree_control: +cpu +memory"


def test_a_reclaim_is_told_with_what_is_in_use_and_the_goal() -> None:
    assert Reclaim("/rctl-web1", 100 * M, 300 * M).describe() == (
        "/rctl-web1: memory.reclaim: 300M in use -> at most 100M"
    )


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Make("/rctl-web1"), "/rctl-web1: mkdir"),
        (Remove("/rctl-web1"), "/rctl-web1: rmdir"),
        (Remove("/rctl-web1", True, 3), "/rctl-web1: cgroup.kill: 3 process(es), then rmdir"),
        (Move("/rctl-web1", 101, 7, "/user"), "/rctl-web1: cgroup.procs: process 101 from /user"),
        (Start("/rctl-web1"), "/rctl-web1: cgroup.procs: the command"),
        (Label("/rctl-web1", "tier", None, "gold"), "/rctl-web1: label tier: (none) -> gold"),
        (Label("/rctl-web1", "tier", "gold", ""), '/rctl-web1: label tier: gold -> ""'),
        (Label("/rctl-web1", "tier", "", None), '/rctl-web1: label tier: "" -> (none)'),
        (Renew("/rctl-web1", "root"), "/rctl-web1: cpuset.cpus.partition: root, once more"),
        (Renew("/rctl-web1", "isolated", valid=True), "/rctl-web1: cpuset.cpus.partition: isolated"),
    ],
)
def test_what_is_not_a_limit_is_told_by_what_the_kernel_is_asked_for(step: Step, text: str) -> None:
    assert step.describe() == text


def test_a_step_that_serves_another_says_why() -> None:
    step = Set("/rctl-web1", "memory.high", "max", str(M), why="holds the VE back")
    assert step.describe() == "/rctl-web1: memory.high: max -> 1M  (holds the VE back)"


@pytest.mark.parametrize(
    ("entry", "unit", "text"),
    [("1073741824", "bytes", "1G"), ("max", "bytes", "max"), ("", "", '""'), ("50", "count", "50")],
)
def test_entries_for_people(entry: str, unit: str, text: str) -> None:
    assert shown(entry, unit) == text


# What differs


def test_what_is_so_already_is_no_step() -> None:
    assert plan(change({"memory.max": "1G"}, memory_max=str(1 << 30))) == ()


def test_a_file_that_is_not_there_yet_counts_as_new() -> None:
    assert told(change({"pids.max": 5}, pids_max=None)) == ["/rctl-web1: pids.max: max -> 5"]


def test_a_file_that_a_kernel_may_lack_is_passed_over() -> None:
    asked = change({"cpu.weight": 200})
    asked.texts["cpu.idle"] = None  # type: ignore[index]
    assert told(asked) == ["/rctl-web1: cpu.weight: 100 -> 200"]


def test_a_quota_too_small_for_the_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cpu\.max: 0\.001 CPUs .*Raise cpu\.period"):
        plan(change({"cpu.max": 0.001}))


# In which order


def test_controllers_are_taken_back_after_all_else() -> None:
    *_, last = plan(change({"memory.max": "1G"}), switches=(Disable("/", ("memory",)),))
    assert last.describe() == "/: cgroup.subtree_control: -memory"


def test_controllers_are_enabled_before_all_else() -> None:
    first, *_ = plan(change({"memory.max": "1G"}), switches=(Enable("/", ("memory",)),))
    assert isinstance(first, Enable)


def files(found: tuple[Step, ...]) -> list[tuple[str, str]]:
    return [(step.path, step.file) for step in found if isinstance(step, Set)]


def test_lowering_goes_child_first() -> None:
    found = plan(*(change({"memory.max": "1G"}, path) for path in ("/a", "/a/b", "/a/b/c")))
    assert [step.path for step in found] == ["/a/b/c", "/a/b", "/a"]


def test_raising_goes_parent_first() -> None:
    found = plan(*(change({"pids.max": "max"}, path, pids_max="5") for path in ("/a/b/c", "/a/b", "/a")))
    assert [step.path for step in found] == ["/a", "/a/b", "/a/b/c"]


def test_all_that_is_lowered_comes_before_all_that_is_raised() -> None:
    found = plan(change({"memory.max": "2G"}, "/a", memory_max=str(1 << 30)), change({"memory.max": "1G"}, "/b"))
    assert files(found) == [("/b", "memory.max"), ("/a", "memory.max")]


def test_burst_is_lowered_before_the_quota() -> None:
    found = plan(change({"cpu.max": 0.2, "cpu.burst": "10ms"}, cpu_max="100000 100000", cpu_max_burst="50000"))
    assert [name for _, name in files(found)] == ["cpu.max.burst", "cpu.max"]


def test_the_quota_is_raised_before_burst() -> None:
    found = plan(change({"cpu.max": 2, "cpu.burst": "150ms"}, cpu_max="100000 100000"))
    assert [name for _, name in files(found)] == ["cpu.max", "cpu.max.burst"]


def test_a_partition_is_made_after_its_cpus_are_set() -> None:
    found = plan(change({"cpuset.cpus": "1", "cpuset.partition": "root"}))
    assert [name for _, name in files(found)] == ["cpuset.cpus", "cpuset.cpus.partition"]


def test_a_partition_is_made_after_its_exclusive_cpus_are_set() -> None:
    found = plan(change({"cpuset.exclusive": "1", "cpuset.partition": "root"}, cpuset_cpus_exclusive=""))
    assert [name for _, name in files(found)] == ["cpuset.cpus.exclusive", "cpuset.cpus.partition"]


def test_a_partition_ends_before_its_exclusive_cpus_are_given_up_children_first() -> None:
    root = {"cpuset_cpus_exclusive": "1", "cpuset_cpus_partition": "root"}
    wanted = {"cpuset.exclusive": "", "cpuset.partition": "member"}
    found = plan(change(wanted, path="/a", **root), change(wanted, path="/a/b", **root))
    assert files(found) == [
        (path, f"cpuset.cpus.{name}") for path in ("/a/b", "/a") for name in ("partition", "exclusive")
    ]


def test_exclusive_cpus_are_given_up_before_another_ve_has_them() -> None:
    takes = change({"cpuset.exclusive": "1"}, path="/a", cpuset_cpus_exclusive="")
    gives = change({"cpuset.exclusive": "0"}, path="/b", cpuset_cpus_exclusive="1")
    found = plan(takes, gives)
    assert [path for path, _ in files(found)] == ["/b", "/a"]


def test_an_idle_ve_is_woken_before_it_is_given_a_weight() -> None:
    found = plan(change({"cpu.weight": 200}, cpu_idle="1", cpu_weight="0"))
    assert [name for _, name in files(found)] == ["cpu.idle", "cpu.weight"]


def test_a_step_remembers_what_the_kernel_changes_besides() -> None:
    (step,) = plan(change({"cpu.weight": "idle"}, cpu_weight="250"))
    assert isinstance(step, Set)
    assert step.disturbed == (("cpu.weight", "250"),)


# With cgroups that are removed, and partitions that are looked at again

LIMIT = Set("/rctl-web1", "pids.max", "max", "50")
OFF = Disable("/", ("pids",))
ASKED, OTHER = Renew("/rctl-web1", "root", asked=True), Renew("/rctl-web2", "root")


def test_partitions_are_looked_at_again_after_the_limits_and_then_comes_the_end() -> None:
    move = Move("/rctl-web1", 101, 7, "/user")
    assert ended((LIMIT, OFF), (move,), (ASKED, OTHER)) == (LIMIT, OFF, ASKED, OTHER, move)


def test_where_a_ve_is_removed_partitions_that_nobody_asked_for_and_controllers_come_after_that() -> None:
    gone = Remove("/rctl-web3")
    assert ended((LIMIT, OFF), (gone,), (OTHER, ASKED)) == (LIMIT, ASKED, gone, OTHER, OFF)


@pytest.mark.parametrize(
    ("done", "kept"),
    [
        ((), False),
        ((Start("/rctl-web1"),), False),
        ((OTHER,), False),
        ((Start("/rctl-web1"), OTHER), False),
        ((LIMIT,), True),
        ((LIMIT, Start("/rctl-web1")), True),
    ],
)
def test_a_started_command_and_a_partition_that_is_valid_again_are_nothing_to_undo(
    done: tuple[Step, ...], kept: bool
) -> None:
    assert lasts(done) is kept


# Shrinking


def test_a_limit_at_what_is_in_use_is_simply_set() -> None:
    assert told(change({"memory.max": "50M"}, memory_current=str(50 * M))) == ["/rctl-web1: memory.max: max -> 50M"]


def test_where_the_kernel_does_not_count_memory_yet_none_is_in_use() -> None:
    assert told(change({"memory.max": 0}, memory_current=None)) == ["/rctl-web1: memory.max: max -> 0"]


def test_a_lowered_limit_frees_memory_first_should_the_ve_have_grown_and_remembers_memory_high() -> None:
    (step,) = plan(change({"memory.max": "100M"}, memory_high=str(200 * M), memory_current=str(50 * M)))
    assert step == Set(
        "/rctl-web1", "memory.max", "max", str(100 * M), disturbed=(("memory.high", str(200 * M)),), gentle=True
    )


@pytest.mark.parametrize(("there", "force"), [(1 << 30, True), (1 << 20, False)])
def test_a_limit_that_is_raised_or_forced_frees_nothing(there: int, force: bool) -> None:
    (step,) = plan(change({"memory.max": "100M"}, memory_max=str(there)), force=force)
    assert step == Set("/rctl-web1", "memory.max", str(there), str(100 * M))


def test_a_limit_above_what_is_in_use_is_simply_set() -> None:
    assert told(change({"memory.max": "100M"}, memory_current=str(50 * M))) == ["/rctl-web1: memory.max: max -> 100M"]


def test_a_limit_below_what_is_in_use_is_held_reclaimed_set_and_let_go() -> None:
    assert told(change({"memory.max": "100M"}, memory_current=str(300 * M))) == [
        "/rctl-web1: memory.high: max -> 100M  (holds the VE back while memory is reclaimed)",
        "/rctl-web1: memory.reclaim: 300M in use -> at most 100M",
        "/rctl-web1: memory.max: max -> 100M",
        "/rctl-web1: memory.high: 100M -> max",
    ]


def test_with_force_the_limit_is_set_at_once() -> None:
    asked = change({"memory.max": "100M"}, memory_current=str(300 * M))
    assert told(asked, force=True) == ["/rctl-web1: memory.max: max -> 100M"]


def test_a_lower_memory_high_is_left_as_it_is_meanwhile() -> None:
    asked = change({"memory.max": "100M"}, memory_current=str(300 * M), memory_high=str(60 * M))
    assert told(asked) == [
        "/rctl-web1: memory.reclaim: 300M in use -> at most 100M",
        "/rctl-web1: memory.max: max -> 100M",
    ]


def test_a_memory_high_that_is_asked_for_too_is_what_remains() -> None:
    asked = change({"memory.max": "100M", "memory.high": "200M"}, memory_current=str(300 * M))
    assert told(asked)[-1] == "/rctl-web1: memory.high: 100M -> 200M"


def test_swap_that_is_given_comes_before_the_reclaim_that_may_need_it_held_to_the_least_asked_for() -> None:
    asked = change(
        {"memory.max": "100M", "memory.high": "50M", "memory.swap.max": "1G"},
        memory_current=str(300 * M),
        memory_swap_max="0",
    )
    assert told(asked) == [
        "/rctl-web1: memory.high: max -> 50M  (holds the VE back while memory is reclaimed)",
        "/rctl-web1: memory.swap.max: 0 -> 1G",
        "/rctl-web1: memory.reclaim: 300M in use -> at most 100M",
        "/rctl-web1: memory.max: max -> 100M",
    ]


def test_swap_that_is_taken_away_goes_after_the_memory() -> None:
    asked = change({"memory.max": "100M", "memory.swap.max": 0}, memory_current=str(300 * M))
    assert files(plan(asked))[-1] == ("/rctl-web1", "memory.swap.max")


# Through an owner


def through_owner(path: str, pairs: dict[str, Any], *by_files: str) -> Change:
    """A wish whose entries an owner sets, except those ``by_files``."""
    wish = change(pairs, path)
    ways = {
        (write.file.name, write.key): Through("owner", "", None, lambda _file, _key, entry, kept: entry)
        for write in wish.writes
        if write.file.name not in by_files
    }
    return msgspec.structs.replace(wish, through=ways)


def test_all_that_an_owner_lowers_of_a_ve_is_together_and_so_is_all_that_it_raises() -> None:
    pairs = {"pids.max": 5, "memory.low": "1M", "cpu.max": 0.5, "cpu.burst": "5ms"}
    made = plan(*(through_owner(path, pairs, "cpu.max.burst") for path in ("/rctl-a", "/rctl-b")))
    assert [(step.path[-1], step.file) for step in made if isinstance(step, Set)] == [
        ("a", "pids.max"), ("a", "cpu.max"), ("b", "pids.max"), ("b", "cpu.max"),
        ("a", "memory.low"), ("b", "memory.low"), ("a", "cpu.max.burst"), ("b", "cpu.max.burst"),
    ]  # fmt: skip


def test_a_burst_is_lowered_before_the_quota_that_an_owner_lowers() -> None:
    pairs = {"pids.max": 5, "cpu.max": 0.2, "cpu.burst": "1ms"}
    wish = through_owner("/rctl-a", pairs, "cpu.max.burst")
    wish = msgspec.structs.replace(wish, texts={**wish.texts, "cpu.max": "50000 100000", "cpu.max.burst": "5000"})
    assert [step.file for step in plan(wish) if isinstance(step, Set)] == ["cpu.max.burst", "pids.max", "cpu.max"]
