"""The live-adjust engine on a kernel in memory: one adjustment, many limits of many VEs, all or nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.progress import Event
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import left_open, unwritten
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.adjust.steps import Set
from rctl.adjust.undoing.undo import undo
from rctl.cgroupfs.tree import Tree
from rctl.errors import (
    BusyError,
    GoneError,
    KernelError,
    NotAvailableError,
    NotFoundError,
    RctlError,
    ShrinkError,
    UsageError,
)
from tests.unit.fake_calls import Operation
from tests.unit.fake_files import CONTROLLERS
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder

M = 1 << 20
G = 1 << 30


@dataclass
class Bench:
    """A machine, its tree, and a state folder."""

    kernel: FakeKernel
    tree: Tree
    state: State

    @property
    def site(self) -> Site:
        return Site(self.tree, self.kernel.host, self.state)

    def adjust(self, wanted: dict[str, dict[str, Any]], **options: Any) -> Account:
        asked = {name: limits(pairs, self.kernel.host) for name, pairs in wanted.items()}
        return adjust(self.site, asked, Options(**options))

    def refusal(self, kind: type[RctlError], wanted: dict[str, dict[str, Any]], **options: Any) -> RctlError:
        before = self.kernel.limits()
        with pytest.raises(kind) as caught:
            self.adjust(wanted, **options)
        assert self.kernel.limits() == before, "a refused adjustment changes nothing"
        assert left_open(self.state) == []
        return caught.value


@pytest.fixture
def bench() -> Iterator[Bench]:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(101,))
    kernel.make("/rctl-web2", procs=(102,))
    with state_folder() as state, kernel.installed() as tree:
        yield Bench(kernel, tree, state)


# What is set


def test_a_limit_is_written_and_read_back(bench: Bench) -> None:
    account = bench.adjust({"web1": {"memory.max": "2G"}})
    assert bench.kernel.get("/rctl-web1", "memory.max") == str(2 * G)
    assert [(o.name, o.status) for o in account.outcomes] == [("web1", "changed")]


def test_every_limit_that_the_kernel_has_a_file_for_can_be_set(bench: Bench) -> None:
    wanted = {
        "memory.max": "2G", "memory.high": "1G", "memory.low": "64M", "memory.min": "32M", "memory.swap.max": "1G",
        "memory.swap.high": "512M", "memory.zswap.max": "16M", "memory.oom.group": True, "cpu.max": 1.5,
        "cpu.burst": "10ms", "cpu.weight": 200, "cpuset.cpus": "0-1", "cpuset.mems": "0", "io.weight": 50,
        "pids.max": 100, "hugetlb.2MB": "4M", "files.io.max": "8:0 rbps=1048576", "files.cgroup.pressure": 0,
    }  # fmt: skip
    bench.adjust({"web1": wanted})
    held = bench.kernel.node("/rctl-web1").files
    assert held["memory.max"] == str(2 * G)
    assert held["cpu.max"] == "150000 100000"
    assert held["io.max"] == "8:0 rbps=1048576 wbps=max riops=max wiops=max"
    assert held["hugetlb.2MB.max"] == str(4 * M)
    assert held["cgroup.pressure"] == "0"
    assert not bench.adjust({"web1": wanted}).outcomes[0].steps


def test_what_is_so_already_is_not_written_again(bench: Bench) -> None:
    bench.adjust({"web1": {"memory.max": "2G", "cpu.max": 2}})
    bench.kernel.operations.clear()
    account = bench.adjust({"web1": {"memory.max": "2G", "cpu.max": 2}})
    assert account.id is None
    assert account.outcomes[0].status == "unchanged"
    assert bench.kernel.writes == []


def test_a_limit_that_is_not_given_stays_as_it_is(bench: Bench) -> None:
    bench.adjust({"web1": {"memory.max": "2G", "pids.max": 50}})
    bench.adjust({"web1": {"memory.max": "3G"}})
    assert bench.kernel.get("/rctl-web1", "pids.max") == "50"


def test_zero_is_a_value_and_max_is_no_limit(bench: Bench) -> None:
    bench.adjust({"web1": {"memory.swap.max": 0}})
    assert bench.kernel.get("/rctl-web1", "memory.swap.max") == "0"
    bench.adjust({"web1": {"memory.swap.max": "max"}})
    assert bench.kernel.get("/rctl-web1", "memory.swap.max") == "max"


@pytest.mark.parametrize("key", ["memory.low", "memory.min", "files.memory.low"])
def test_max_of_a_protection_needs_force_for_it_takes_nothing_away(bench: Bench, key: str) -> None:
    error = bench.refusal(UsageError, {"web1": {key: "max"}})
    assert "Write 0 to take the protection away, or use --force" in str(error)
    bench.adjust({"web1": {key: "max"}}, force=True)
    assert bench.kernel.get("/rctl-web1", key.removeprefix("files.")) == "max"
    bench.adjust({"web1": {key: "default"}})
    assert bench.kernel.get("/rctl-web1", key.removeprefix("files.")) == "0"


def test_a_size_is_rounded_down_to_pages_as_the_kernel_does(bench: Bench) -> None:
    bench.adjust({"web1": {"memory.low": 4097}})
    assert bench.kernel.get("/rctl-web1", "memory.low") == "4096"


def test_a_new_period_keeps_the_number_of_cpus(bench: Bench) -> None:
    bench.adjust({"web1": {"cpu.max": 2}})
    bench.adjust({"web1": {"cpu.period": "20ms"}})
    assert bench.kernel.get("/rctl-web1", "cpu.max") == "40000 20000"


def test_one_rate_of_a_disk_leaves_its_other_rates(bench: Bench) -> None:
    bench.adjust({"web1": {"files.io.max": "8:0 rbps=1048576"}})
    bench.adjust({"web1": {"files.io.max": "8:0 wiops=120"}})
    assert bench.kernel.get("/rctl-web1", "io.max") == "8:0 rbps=1048576 wbps=max riops=max wiops=120"


def test_a_weight_wakes_an_idle_ve(bench: Bench) -> None:
    bench.adjust({"web1": {"cpu.weight": "idle"}})
    assert bench.kernel.get("/rctl-web1", "cpu.idle") == "1"
    bench.adjust({"web1": {"cpu.weight": 300}})
    assert bench.kernel.get("/rctl-web1", "cpu.idle") == "0"
    assert bench.kernel.get("/rctl-web1", "cpu.weight") == "300"


def test_a_cpu_list_is_not_widened_over_a_siblings_partition() -> None:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(7,))
    kernel.make("/rctl-web2")
    kernel.put("/rctl-web1", "cpuset.cpus", "0")
    kernel.put("/rctl-web2", "cpuset.cpus", "3")
    kernel.put("/rctl-web2", "cpuset.cpus.partition", "root")
    with state_folder() as state, kernel.installed() as tree:
        error = Bench(kernel, tree, state).refusal(BusyError, {"web1": {"cpuset.cpus": ""}})
    assert "the partition of /rctl-web2" in str(error)


def test_a_cpu_list_with_tasks_on_it_is_widened_to_all_cpus_for_it_cannot_be_emptied(bench: Bench) -> None:
    bench.adjust({"web1": {"cpuset.cpus": "1"}})
    account = bench.adjust({"web1": {"cpuset.cpus": ""}})
    assert bench.kernel.get("/rctl-web1", "cpuset.cpus") == "0-3"
    assert "because it cannot be empty while tasks run" in account.notes[0]


# Controllers


def test_only_the_controllers_that_a_limit_needs_are_enabled_top_down() -> None:
    kernel = FakeKernel()
    kernel.make("/a/b/c", enable=False)
    with state_folder() as state, kernel.installed() as tree:
        Bench(kernel, tree, state).adjust({"/a/b/c": {"memory.max": "1G", "pids.max": 10}})
    assert [(write.path, write.text) for write in kernel.writes[:3]] == [
        ("/", "+memory +pids"),
        ("/a", "+memory +pids"),
        ("/a/b", "+memory +pids"),
    ]
    assert kernel.get("/a/b/c", "memory.max") == str(G)


@pytest.mark.parametrize("loaded", [True, False])
def test_a_file_that_comes_with_the_controller_is_set_in_the_same_adjustment(loaded: bool) -> None:
    kernel = FakeKernel()
    if loaded:
        kernel.lacks.remove("io.bfq.weight")
    kernel.make("/rctl-web1", enable=False)
    before = kernel.limits()
    with state_folder() as state, kernel.installed() as tree:
        bench = Bench(kernel, tree, state)
        planned = bench.adjust({"web1": {"io.weight": 200}}, dry_run=True)
        assert planned.notes[0] == "io.bfq.weight: set as well, where it comes with the controller that is enabled"
        account = bench.adjust({"web1": {"io.weight": 200}})
        files = [step.file for outcome in account.outcomes for step in outcome.steps if isinstance(step, Set)]
        assert files == ["io.weight", "io.bfq.weight"][: 1 + loaded]
        assert kernel.get("/rctl-web1", "io.weight") == "default 200"
        assert not loaded or kernel.get("/rctl-web1", "io.bfq.weight") == "default 109"
        assert len(list(history(state))) == 1
        undo(Site(tree, kernel.host, state), Options())
    assert kernel.limits() == before


def test_a_failure_after_controllers_were_enabled_first_takes_them_back() -> None:
    kernel = FakeKernel()
    kernel.lacks.remove("io.bfq.weight")
    kernel.make("/a/b", enable=False)
    with state_folder() as state, kernel.installed() as tree:
        bench = Bench(kernel, tree, state)
        kernel.broken = lambda operation: errno.EIO if operation.file == "io.bfq.weight" else None
        bench.refusal(KernelError, {"/a/b": {"io.weight": 200}})


def test_a_controller_that_the_host_lacks_is_named_before_anything_changes() -> None:
    kernel = FakeKernel()
    kernel.controllers = set(CONTROLLERS) - {"hugetlb"}
    kernel.make("/rctl-web1", enable=False)
    with state_folder() as state, kernel.installed() as tree:
        error = Bench(kernel, tree, state).refusal(
            NotAvailableError, {"web1": {"hugetlb.2MB": "4M", "memory.max": "1G"}}
        )
    assert "hugetlb controller is not available" in str(error)


@pytest.mark.parametrize("enabled", [True, False], ids=["controller on", "controller off"])
def test_a_file_that_the_kernel_lacks_is_named_with_the_kernel_that_brought_it(enabled: bool) -> None:
    kernel = FakeKernel()
    kernel.lacks.add("cpu.max.burst")
    kernel.make("/rctl-web1", enable=enabled)
    with state_folder() as state, kernel.installed() as tree:
        error = Bench(kernel, tree, state).refusal(NotAvailableError, {"web1": {"cpu.burst": "1ms"}})
    assert str(error) == (
        "cpu.max.burst: this kernel has no such file on /rctl-web1 (it came with Linux 5.14). "
        "Leave it out, or boot a newer kernel"
    )


@pytest.mark.parametrize("limit", ["pids.max", "memory.max"])
def test_threaded_by_accident_is_refused_before_anything_is_written(limit: str) -> None:
    kernel = FakeKernel()
    kernel.make("/a", enable=False, procs=(7, 8))
    kernel.make("/a/b", enable=False)
    with state_folder() as state, kernel.installed() as tree:
        error = Bench(kernel, tree, state).refusal(BusyError, {"/a/b": {limit: 1 << 20}})
        assert kernel.writes == []
    assert str(error).startswith(f"{limit}: ")
    assert "/a, which has 2 process(es) of its own" in str(error)
    assert "Move them into a child first" in str(error)


def test_threaded_by_a_process_that_comes_meanwhile_is_rolled_back() -> None:
    kernel = FakeKernel()
    kernel.make("/a/b", enable=False)

    def move_in(operation: Operation) -> None:
        if (operation.kind, operation.path, operation.text) == ("write", "/a", "+pids"):
            kernel.node("/a").procs.add(7)

    kernel.broken = move_in
    with state_folder() as state, kernel.installed() as tree:
        before = kernel.limits()
        with pytest.raises(BusyError, match=r"^/a: a process came into it meanwhile"):
            Bench(kernel, tree, state).adjust({"/a/b": {"pids.max": 9}})
    assert kernel.limits() == before
    assert kernel.get("/a/b", "cgroup.type") == "domain"


def test_a_parent_that_may_not_be_written_leaves_nothing_in_doubt() -> None:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", enable=False)
    kernel.broken = lambda op: errno.EACCES if (op.kind, op.path) == ("write", "/") else None
    with state_folder() as state, kernel.installed() as tree:
        error = Bench(kernel, tree, state).refusal(KernelError, {"web1": {"pids.max": 9}})
    assert "permission denied" in str(error)


# All or nothing


def test_a_refused_value_takes_back_what_was_written_before_it(bench: Bench) -> None:
    error = bench.refusal(
        KernelError,
        {"web1": {"pids.max": 50}, "web2": {"memory.max": "1G", "cpu.max": 1, "cpu.burst": "500ms"}},
    )
    assert "cpu.max.burst" in str(error)
    assert "Raise cpu.max or lower burst" in str(error)


def test_the_error_tells_how_far_each_ve_came(bench: Bench) -> None:
    error = bench.refusal(KernelError, {"web1": {"pids.max": 50}, "web2": {"cpu.max": 1, "cpu.burst": "500ms"}})
    assert [(o.name, o.status) for o in error.account.outcomes] == [("web1", "rolled back"), ("web2", "rolled back")]


def test_a_ve_that_vanishes_in_mid_apply_takes_the_others_back(bench: Bench) -> None:
    before = dict(bench.kernel.node("/rctl-web1").files)

    def vanish(operation: Operation) -> None:
        if operation.path == "/rctl-web1" and "rctl-web2" in bench.kernel.root.children:
            bench.kernel.remove("/rctl-web2")

    bench.kernel.watch = vanish
    with pytest.raises(GoneError, match=r"/rctl-web2: the cgroup was removed"):
        bench.adjust({"web1": {"pids.max": 50}, "web2": {"pids.max": 50}})
    assert bench.kernel.node("/rctl-web1").files == before


def test_a_ve_that_is_not_there_stops_all(bench: Bench) -> None:
    assert "/rctl-web9" in str(bench.refusal(NotFoundError, {"web1": {"pids.max": 5}, "web9": {"pids.max": 5}}))


def test_one_ve_under_two_names_is_refused(bench: Bench) -> None:
    error = bench.refusal(UsageError, {"web1": {"pids.max": 5}, "/rctl-web1": {"pids.max": 6}})
    assert "web1" in str(error)


def test_a_value_that_another_manager_puts_back_at_once_is_noticed(bench: Bench) -> None:
    def meddle(operation: Operation) -> None:
        if operation.file == "pids.max":
            bench.kernel.node("/rctl-web1").files["pids.max"] = "7"

    bench.kernel.put("/rctl-web1", "pids.max", "7")
    bench.kernel.watch = meddle
    error = bench.refusal(RctlError, {"web1": {"pids.max": 50}})
    assert "Another manager may hold this cgroup" in str(error)


def test_what_another_manager_does_not_let_be_put_back_is_in_doubt_until_recovered(bench: Bench) -> None:
    bench.kernel.broken = lambda op: errno.EIO if op.kind == "write" and op.path == "/rctl-web2" else None
    bench.kernel.watch = lambda op: setattr(
        bench.kernel, "broken", lambda later: errno.EIO if later.kind == "write" else None
    )
    with pytest.raises(RctlError, match=r"not put back: .*Run rctl recover"):
        bench.adjust({"web1": {"pids.max": 50}, "web2": {"pids.max": 50}})
    assert len(left_open(bench.state)) == 1


def test_a_progress_that_breaks_while_putting_back_does_not_stop_the_putting_back(bench: Bench) -> None:
    def broken_terminal(event: Event) -> None:
        if event.what == "rollback":
            raise BrokenPipeError

    before = bench.kernel.limits()
    asked = limits({"pids.max": 50, "memory.max": "1G", "cpu.max": 1, "cpu.burst": "500ms"}, bench.kernel.host)
    with pytest.raises(KernelError):
        adjust(msgspec.structs.replace(bench.site, progress=broken_terminal), {"web1": asked}, Options())
    assert bench.kernel.limits() == before


# Shrinking memory


def test_memory_in_use_is_reclaimed_before_the_limit_goes_below_it(bench: Bench) -> None:
    bench.kernel.make("/rctl-web1", cache=200 * M)
    bench.adjust({"web1": {"memory.max": "100M"}})
    assert bench.kernel.get("/rctl-web1", "memory.max") == str(100 * M)
    assert bench.kernel.get("/rctl-web1", "memory.high") == "max"
    assert bench.kernel.kills == 0


def test_memory_that_cannot_be_reclaimed_is_an_error_and_nothing_is_killed(bench: Bench) -> None:
    bench.kernel.put("/rctl-web1", "memory.swap.max", "0")
    bench.kernel.make("/rctl-web1", anon=200 * M)
    error = bench.refusal(ShrinkError, {"web1": {"memory.max": "100M"}}, deadline=0.5)
    assert "cannot set 100M" in str(error)
    assert "200M in use" in str(error)
    assert "--force" in str(error)
    assert bench.kernel.kills == 0


def test_swap_that_the_same_adjustment_gives_makes_room(bench: Bench) -> None:
    bench.kernel.put("/rctl-web1", "memory.swap.max", "0")
    bench.kernel.make("/rctl-web1", anon=200 * M)
    bench.adjust({"web1": {"memory.max": "100M", "memory.swap.max": "1G"}}, deadline=0.5)
    assert bench.kernel.get("/rctl-web1", "memory.current") == str(100 * M)
    assert bench.kernel.kills == 0


def test_only_force_lets_the_kernel_kill_and_says_so(bench: Bench) -> None:
    bench.kernel.put("/rctl-web1", "memory.swap.max", "0")
    bench.kernel.make("/rctl-web1", anon=200 * M)
    account = bench.adjust({"web1": {"memory.max": "100M"}}, force=True)
    assert bench.kernel.kills == 1
    assert "killed 1 process" in account.notes[0]


def test_a_kernel_without_memory_reclaim_is_brought_down_by_memory_high() -> None:
    kernel = FakeKernel()
    kernel.lacks.add("memory.reclaim")
    kernel.make("/rctl-web1", cache=200 * M)
    with state_folder() as state, kernel.installed() as tree:
        Bench(kernel, tree, state).adjust({"web1": {"memory.max": "100M"}})
    assert kernel.get("/rctl-web1", "memory.max") == str(100 * M)
    assert kernel.kills == 0


def test_what_grew_meanwhile_is_reclaimed_when_the_limit_is_put_back(bench: Bench) -> None:
    bench.kernel.put("/rctl-web1", "memory.max", str(100 * M))

    def grow(operation: Operation) -> None:
        if operation.file == "memory.max" and operation.text == str(300 * M):
            bench.kernel.node("/rctl-web1").cache = 250 * M

    bench.kernel.watch = grow
    bench.refusal(KernelError, {"web1": {"memory.max": "300M", "cpu.max": 1, "cpu.burst": "500ms"}})
    assert bench.kernel.kills == 0


# Dry run


def test_a_dry_run_shows_the_steps_that_would_run_and_writes_nothing(bench: Bench) -> None:
    account = bench.adjust({"web1": {"memory.max": "2G"}}, dry_run=True)
    assert account.outcomes[0].status == "planned"
    assert [step.describe() for step in account.outcomes[0].steps] == ["/rctl-web1: memory.max: max -> 2G"]
    assert bench.kernel.writes == []


def test_a_dry_run_makes_no_state_folder(bench: Bench) -> None:
    bench.adjust({"web1": {"memory.max": "2G"}}, dry_run=True)
    assert not os.path.exists(bench.state.run)


def test_a_dry_run_foresees_a_burst_above_the_quota(bench: Bench) -> None:
    bench.adjust({"web1": {"cpu.max": 2, "cpu.burst": "150ms"}})
    for wanted in ({"cpu.max": 1}, {"cpu.burst": "201ms"}, {"cpu.max": 3, "cpu.burst": "301ms"}):
        errors = []
        for dry_run in (True, False):
            with pytest.raises(KernelError) as caught:
                bench.adjust({"web1": wanted}, dry_run=dry_run)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    bench.adjust({"web1": {"cpu.max": 1, "cpu.burst": "100ms"}}, dry_run=True)
    bench.adjust({"web1": {"cpu.max": "max"}}, dry_run=True)


def test_the_steps_of_a_dry_run_are_those_that_run(bench: Bench) -> None:
    bench.kernel.make("/rctl-web1", cache=200 * M)
    wanted = {"web1": {"memory.max": "100M", "cpu.max": 2}, "web2": {"pids.max": 9}}
    planned = bench.adjust(wanted, dry_run=True)
    done = bench.adjust(wanted)
    assert [o.steps for o in planned.outcomes] == [o.steps for o in done.outcomes]


# What is left behind


def test_a_finished_adjustment_is_in_the_history_and_its_journal_is_gone(bench: Bench) -> None:
    account = bench.adjust({"web1": {"memory.max": "2G"}}, command="rctl set web1 memory.max=2G")
    (record,) = history(bench.state)
    assert (record.id, record.command, record.boot_id) == (account.id, "rctl set web1 memory.max=2G", BOOT)
    assert left_open(bench.state) == []


def test_no_descriptor_stays_open(bench: Bench) -> None:
    before = len(bench.kernel.fds)
    bench.adjust({"web1": {"memory.max": "2G", "cpu.max": 1}, "web2": {"pids.max": 1}})
    bench.refusal(KernelError, {"web1": {"cpu.max": 1, "cpu.burst": "500ms"}})
    bench.refusal(NotFoundError, {"web1": {"cpu.max": 1}, "web9": {"cpu.max": 1}})
    assert len(bench.kernel.fds) == before
    bench.state.close()
    assert bench.kernel.journal_fds == set()


def test_a_history_that_cannot_be_written_is_a_note_for_the_limits_are_set(bench: Bench) -> None:
    bench.adjust({"web2": {"pids.max": 5}})
    os.rename(bench.state.history, bench.state.history + ".moved")
    os.mkdir(bench.state.history)
    account = bench.adjust({"web1": {"memory.max": "2G"}})
    assert bench.kernel.get("/rctl-web1", "memory.max") == str(2 * G)
    assert account.notes == (
        f"{bench.state.history}: cannot be written: Is a directory. Look at it, then run rctl recover; this adjustment "
        "stands",
    )
    assert left_open(bench.state) == []
    assert unwritten(bench.state) == [f"{account.id}.json.ended"]


@pytest.mark.parametrize("call", ["journal open", "journal write", "journal fsync", "journal link"])
def test_a_journal_that_cannot_be_written_is_an_error_of_one_line_before_any_change(bench: Bench, call: str) -> None:
    bench.kernel.broken = lambda op: errno.ENOSPC if op.kind == call else None
    error = bench.refusal(RctlError, {"web1": {"memory.max": "2G"}})
    assert "nothing was changed" in str(error)
    assert "No space left" in str(error)


def test_a_cpu_list_that_is_put_back_under_tasks_follows_the_parent_again(bench: Bench) -> None:
    bench.kernel.make("/rctl-web3/app", procs=(7,))
    bench.adjust({"web3": {"cpuset.cpus": "0"}})
    with pytest.raises(KernelError):
        bench.adjust({"/rctl-web3/app": {"cpuset.cpus": "0", "cpu.max": 1, "cpu.burst": "500ms"}})
    bench.adjust({"web3": {"cpuset.cpus": "0-2"}})
    assert bench.kernel.get("/rctl-web3/app", "cpuset.cpus.effective") == "0-2"
