"""VEs that are made, filled and removed in the same transaction as limits: all or nothing, at every operation."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest

from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.lifecycle import processes
from rctl.adjust.records.history import latest
from rctl.adjust.records.journal import Journal, left_open
from rctl.adjust.recovery.recover import recover
from rctl.adjust.request import Around
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Make, Remove, Start
from rctl.adjust.undoing.undo import take_back, undo
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.cgroupfs.ve_cgroups import Naming
from rctl.errors import BusyError, NotFoundError, RctlError, UsageError
from tests.unit.fake_calls import CRASH, INTERRUPT, Crash, Operation
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

WANTED = {"web": {"pids.max": 9}, "new1": {"memory.max": "1G", "cpu.weight": 50}, "new2": {}}
AROUND = Around(make=tuple(WANTED), remove=("old",))
World = dict[tuple[str, str], str]


def machine() -> FakeKernel:
    """A VE with a process, and one that is empty but for an empty cgroup; the cpu controller is not enabled."""
    kernel = FakeKernel()
    kernel.make("/rctl-web", enable=False, procs=(11,))
    kernel.make("/rctl-old/below", enable=False)
    kernel.put("/", "cgroup.subtree_control", "+pids +memory")
    return kernel


def run(tree: Tree, kernel: FakeKernel, state: State, around: Around = AROUND) -> Account:
    """The adjustment."""
    asked = {name: limits(pairs, kernel.host) for name, pairs in WANTED.items()}
    return adjust(Site(tree, kernel.host, state), asked, Options(deadline=0.05, command="made"), around=around)


def whole() -> tuple[World, World, int]:
    """The old state, the new one, and how many operations lie between."""
    kernel = machine()
    old = kernel.limits()
    with state_folder() as state, kernel.installed() as tree:
        make(state)
        account = run(tree, kernel, state)
    steps = {outcome.name: outcome.steps for outcome in account.outcomes}
    assert steps["new2"] == (Make("/rctl-new2"),)
    assert steps["old"] == (Remove("/rctl-old"),)
    assert {path for path, _ in kernel.limits()} == {"/", "/rctl-web", "/rctl-new1", "/rctl-new2"}
    return old, kernel.limits(), len(kernel.operations)


def settle(tree: Tree, kernel: FakeKernel, state: State) -> list[str]:
    """Recover, and what it tells."""
    return recover(Site(tree, kernel.host, state), 0.05)


def test_a_ve_is_made_below_cgroups_that_do_not_hand_down_its_controllers() -> None:
    """RCTL_TREE lies deeper, so controllers are enabled above it, too, when the VE is there already."""
    kernel = FakeKernel()
    kernel.make("/box", enable=False)
    with state_folder() as state, kernel.installed() as tree:
        box = Tree(tree.root, Naming("/box", ""))
        asked = {"new": limits({"pids.max": 9}, kernel.host)}
        adjust(Site(box, kernel.host, state), asked, Options(wait=0), around=Around(make=("new",)))
        assert kernel.get("/box/new", "pids.max") == "9"
        assert left_open(state) == []
        undo(Site(box, kernel.host, state), Options())
    assert {path for path, _ in kernel.limits()} == {"/", "/box"}
    assert [kernel.get(path, "cgroup.subtree_control") for path in ("/", "/box")] == ["", ""]


def test_a_crash_at_any_operation_leaves_nothing_half_made_or_half_removed() -> None:
    old, new, length = whole()
    said = set()
    for number in range(length):
        kernel = machine()
        with state_folder() as state:
            crashed(kernel, state, number)
            with kernel.installed() as tree:
                told = settle(tree, kernel, state)
                assert kernel.limits() in (old, new), number
                assert [("rolled forward" in line) for line in told] in ([], [kernel.limits() == new])
                assert left_open(state) == []
                assert [r.command for r in latest(state)] == ["made"] * (kernel.limits() == new)
                said.update("forward" if "rolled forward" in line else "back" for line in told)
    assert said == {"forward", "back"}


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC, INTERRUPT])
def test_a_fault_at_any_operation_makes_all_or_nothing(fault: int | str) -> None:
    old, new, length = whole()
    for number in range(length):
        kernel = machine()
        with state_folder() as state, kernel.installed() as tree:
            make(state)
            kernel.faults = {number: fault}
            failed = False
            try:
                notes = run(tree, kernel, state).notes
            except (RctlError, KeyboardInterrupt, OSError):
                failed, notes = True, ()
            if any("it stays" in note for note in notes):
                rest = {key: text for key, text in kernel.limits().items() if not key[0].startswith("/rctl-old")}
                assert rest == new, "all but the removal is done"
                assert "rctl-old" in kernel.root.children
                continue
            if left_open(state):
                kernel.faults = {}
                settle(tree, kernel, state)
            assert kernel.limits() in ((old, new) if failed else (new,)), kernel.operations[number]


def test_a_crash_of_the_recovery_changes_nothing_of_what_it_decided() -> None:
    old, new, length = whole()
    for first in range(length // 3, length, 4):
        for second in range(60):
            kernel = machine()
            with state_folder() as state:
                for number, what in ((first, run), (second, settle)):
                    with kernel.installed() as tree:
                        make(state)
                        kernel.faults = {number: CRASH}
                        with suppress(Crash):
                            what(tree, kernel, state)
                        dead = kernel.dead
                    kernel.wake()
                with kernel.installed() as tree:
                    told = settle(tree, kernel, state)
                assert kernel.limits() in (old, new)
                assert [("rolled forward" in line) for line in told] in ([], [kernel.limits() == new])
            if not dead:
                break


def test_what_somebody_has_put_into_a_new_ve_keeps_it_and_is_told() -> None:
    kernel = machine()
    number = next(n for n, op in enumerate(_operations()) if (op.kind, op.file) == ("write", "cpu.weight"))
    with state_folder() as state:
        crashed(kernel, state, number)
        kernel.make("/rctl-new1", enable=False, procs=(99,))
        with kernel.installed() as tree:
            (told,) = settle(tree, kernel, state)
        assert "rolled back" in told
        assert "/rctl-new1: somebody else has filled it since, and it stays" in told
        assert kernel.node("/rctl-new1").procs == {99}
        assert "rctl-new2" not in kernel.root.children


def crashed(kernel: FakeKernel, state: State, number: int) -> None:
    """Kill the adjustment before the operation of this number."""
    with kernel.installed() as tree:
        make(state)
        kernel.faults = {number: CRASH}
        with suppress(Crash):
            run(tree, kernel, state)
    kernel.wake()


def _operations() -> list[Operation]:
    kernel = machine()
    with state_folder() as state, kernel.installed() as tree:
        make(state)
        run(tree, kernel, state)
    return list(kernel.operations)


def test_nothing_is_done_when_a_ve_to_be_removed_has_processes() -> None:
    kernel = machine()
    kernel.make("/rctl-old", enable=False, procs=(7,))
    old = kernel.limits()
    with state_folder() as state, kernel.installed() as tree:
        make(state)
        with pytest.raises(BusyError, match=r"^old: has 1 process\(es\), the first is 7"):
            run(tree, kernel, state)
        assert kernel.limits() == old
        assert left_open(state) == []


def starting(then: Callable[[Callable[[], None]], None]) -> Around:
    """A command that is started so."""

    def start(ve: Cgroup, journal: Journal, commit: Callable[[], None], notes: object) -> None:
        then(commit)

    return Around(make=("new1",), start=start)


@pytest.mark.parametrize("committed", [False, True])
def test_a_command_that_cannot_be_started_leaves_nothing_and_counts_as_undone(committed: bool) -> None:
    def fail(commit: Callable[[], None]) -> None:
        if committed:
            commit()
        raise UsageError("no such program")

    kernel = machine()
    old = kernel.limits()
    with state_folder() as state, kernel.installed() as tree:
        make(state)
        asked = {"new1": limits({"pids.max": 5}, kernel.host)}
        with pytest.raises(UsageError, match="no such program"):
            adjust(Site(tree, kernel.host, state), asked, Options(), around=starting(fail))
        assert kernel.limits() == old
        assert left_open(state) == []
        records = list(latest(state))
        assert len(records) == 2 * committed
        assert [record.id for record in records if record.undoes is None] == [
            record.undoes for record in records if record.undoes
        ]


def test_a_command_that_was_not_started_when_the_crash_came_leaves_no_ve() -> None:
    kernel = machine()
    old = kernel.limits()
    with state_folder() as state:
        asked = {"new1": limits({"pids.max": 5}, kernel.host)}
        around = starting(lambda _: kernel.die())
        with kernel.installed() as tree, pytest.raises(Crash):
            adjust(Site(tree, kernel.host, state), asked, Options(), around=around)
        kernel.wake()
        with kernel.installed() as tree:
            assert "rolled back" in settle(tree, kernel, state)[0]
        assert kernel.limits() == old


def test_a_command_in_a_ve_that_is_as_it_should_be_leaves_no_history() -> None:
    kernel = machine()
    with state_folder() as state, kernel.installed() as tree:
        asked = {"web": limits({}, kernel.host)}
        around = msgspec.structs.replace(starting(lambda commit: commit()), make=())
        adjust(Site(tree, kernel.host, state), asked, Options(), around=around)
        assert list(latest(state)) == []
        assert left_open(state) == []


def test_undo_removes_what_was_made_when_it_is_empty_and_else_says_that_it_stays() -> None:
    kernel = machine()
    with state_folder() as state, kernel.installed() as tree:
        make(state)
        run(tree, kernel, state, Around(make=tuple(WANTED)))
        kernel.make("/rctl-new1", enable=False, procs=(99,))
        account = undo(Site(tree, kernel.host, state), Options())[0].account
        assert "new1: stays, because it has processes or cgroups inside. See rctl rm --kill" in account.notes
        assert kernel.get("/rctl-new1", "memory.max") == "max"
        assert "rctl-new2" not in kernel.root.children
        assert kernel.get("/rctl-web", "pids.max") == "max"


def applied(kernel: FakeKernel, state: State, frozen: int = 0) -> None:
    """A VE was made with limits, for which controllers were enabled. Nothing else runs."""
    asked = limits({"pids.max": 5, "cpu.weight": 50, "files.cgroup.freeze": frozen}, kernel.host)
    with kernel.installed() as tree:
        made = adjust(Site(tree, kernel.host, state), {"new": asked}, Options(), around=Around(make=("new",)))
    assert made.id
    assert kernel.get("/", "cgroup.subtree_control") == "cpu pids"
    kernel.wake()


def test_undo_of_what_was_made_takes_its_controllers_back_at_every_crash() -> None:
    number, forward = 0, 0
    while True:
        kernel = FakeKernel()
        with state_folder() as state:
            applied(kernel, state)
            old = kernel.limits()
            (record,) = latest(state)
            kernel.faults = {number: CRASH}
            with suppress(Crash), kernel.installed() as tree:
                take_back(Site(tree, kernel.host, state), Options(), record)
                break
            state.close()
            kernel.wake()
            with kernel.installed() as tree:
                forward += sum("rolled forward" in line for line in settle(tree, kernel, state))
                assert kernel.limits() in (old, FakeKernel().limits()), number
        number += 1
    assert kernel.limits() == FakeKernel().limits()
    assert forward > 3


def test_a_ve_that_is_filled_before_it_goes_keeps_its_limits_and_controllers() -> None:
    kernel = FakeKernel()
    with state_folder() as state:
        applied(kernel, state)

        def fill(operation: Operation) -> None:
            if operation.kind == "rmdir":
                kernel.make("/rctl-new", enable=False, procs=(99,))

        with kernel.installed() as tree:
            kernel.broken = fill
            (one,) = undo(Site(tree, kernel.host, state), Options(deadline=0.05))
            assert one.account is not None
            assert any("it stays" in note for note in one.account.notes)
            assert kernel.get("/rctl-new", "pids.max") == "5"


SINCE = {
    "a limit that it set": ("pids.max", "7", r"pids\.max: on /rctl-new is 7 now; it was 5 after"),
    "one of the same controller": ("cpu.max", "1000 2000", r"cpu\.max: on /rctl-new is .*1000 2000.* now"),
    "one that it set no limit of": ("memory.max", "4096", r"memory\.max: on /rctl-new is 4K now; it was max after"),
    "one that was taken away": ("cpu.weight", "100", r"cpu\.weight: on /rctl-new is 100 now; it was 50 after"),
    "the line of a disk": ("io.max", "8:0 rbps=5", r"io\.max: on /rctl-new is .*rbps=5.* now"),
}


@pytest.mark.parametrize("since", SINCE)
def test_undo_removes_no_ve_whose_limits_somebody_changed_since(since: str) -> None:
    file, text, told = SINCE[since]
    kernel = FakeKernel()
    with state_folder() as state:
        applied(kernel, state)
        kernel.put("/", "cgroup.subtree_control", "+memory +io")
        kernel.put("/rctl-new", file, text)
        now = kernel.limits()
        with kernel.installed() as tree:
            site = Site(tree, kernel.host, state)
            for options in (Options(dry_run=True), Options()):
                with pytest.raises(RctlError, match=told):
                    undo(site, options)
                assert kernel.limits() == now
            undo(site, Options(force=True))
        assert {path for path, _ in kernel.limits()} == {"/"}


def test_undo_removes_a_ve_whose_limits_were_changed_and_changed_back() -> None:
    kernel = FakeKernel()
    with state_folder() as state:
        applied(kernel, state)
        with kernel.installed() as tree:
            site = Site(tree, kernel.host, state)
            for asked in ({"pids.max": 7}, {"memory.max": "1G"}):
                adjust(Site(tree, kernel.host, state), {"new": limits(asked, kernel.host)}, Options())
            undo(site, Options(), last=3)
        assert kernel.limits() == FakeKernel().limits()


def test_undo_removes_a_ve_that_was_made_frozen() -> None:
    kernel = FakeKernel()
    with state_folder() as state:
        applied(kernel, state, frozen=1)
        with kernel.installed() as tree:
            undo(Site(tree, kernel.host, state), Options())
        assert kernel.limits() == FakeKernel().limits()


def test_the_next_adjustment_of_a_ve_that_a_crash_left_half_made_begins_anew() -> None:
    _, new, length = whole()
    for number in range(length // 3, length - 6, 3):
        kernel = machine()
        with state_folder() as state:
            crashed(kernel, state, number)
            with kernel.installed() as tree:
                around = AROUND if "rctl-old" in kernel.root.children else Around(make=tuple(WANTED))
                with suppress(NotFoundError):  # the recovery has removed the old one, as was decided
                    run(tree, kernel, state, around)
            assert kernel.limits() == new
            assert left_open(state) == []


def test_steps_describe_themselves() -> None:
    assert Make("/rctl-a").describe() == "/rctl-a: mkdir"
    assert Remove("/rctl-a").describe() == "/rctl-a: rmdir"
    assert Remove("/rctl-a", kill=True, inside=3).describe() == "/rctl-a: cgroup.kill: 3 process(es), then rmdir"
    assert Start("/rctl-a").describe() == "/rctl-a: cgroup.procs: the command"
    assert processes.started(1) >= 0
