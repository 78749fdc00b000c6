"""All or nothing, whatever fails and wherever: faults and crashes at every single file operation.

The scenarios run first without a fault, which counts the operations; then once more for each of them with a fault
there. Hypothesis adds plans that nobody thought of. See fake_kernel for what a fault and a crash are.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import left_open, unwritten
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Reclaim, Set, Step
from rctl.adjust.undoing.undo import undo
from rctl.cgroupfs.tree import Tree
from rctl.errors import RctlError, RollbackError, ShrinkError
from rctl.limits import file_named
from rctl.units import amount as amount_of
from rctl.units import as_number
from tests.unit.fake_calls import CRASH, INTERRUPT, Crash, Operation
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

M = 1 << 20
Wanted = dict[str, dict[str, Any]]
State_ = dict[tuple[str, str], str]

PARENT, CHILD, OTHER = "/rctl-web", "/rctl-web/db", "/rctl-mail"


def machine() -> FakeKernel:
    """Two VEs, one of them with a cgroup below it."""
    kernel = FakeKernel()
    kernel.make(PARENT)
    kernel.make(CHILD, procs=(11,))
    kernel.make(OTHER, procs=(21,))
    return kernel


def run(tree: Tree, kernel: FakeKernel, state: State, wanted: Wanted, **options: Any) -> Account:
    asked = {name: limits(pairs, kernel.host) for name, pairs in wanted.items()}
    return adjust(Site(tree, kernel.host, state), asked, Options(deadline=0.05, **options))


# Scenarios that must survive a fault at every operation: what was before, and what is asked for.

FIRST: dict[str, tuple[Wanted, Wanted]] = {
    "one limit": ({}, {"web": {"pids.max": 50}}),
    "many limits of one VE": (
        {"web": {"cpu.max": 1, "cpu.burst": "50ms", "cpu.weight": "idle", "files.io.max": "8:0 rbps=1048576"}},
        {"web": {"cpu.max": 0.4, "cpu.burst": "30ms", "cpu.weight": 100, "files.io.max": "8:0 wiops=9"}},
    ),
    "a busy VE becomes idle": ({"web": {"cpu.weight": 250}}, {"web": {"cpu.weight": "idle", "pids.max": 9}}),
    "lowered, children first": (
        {"web": {"memory.max": "2G", "memory.swap.max": "1G"}, CHILD: {"memory.max": "1G"}},
        {"web": {"memory.max": "1G", "memory.swap.max": "2G"}, CHILD: {"memory.max": "512M"}, "mail": {"cpu.max": 2}},
    ),
    "raised, parents first": (
        {"web": {"memory.max": "1G"}, CHILD: {"memory.max": "512M"}},
        {"web": {"memory.max": "2G"}, CHILD: {"memory.max": "1G"}, "mail": {"cpuset.cpus": "0-1"}},
    ),
}


def _plain(given: tuple[Wanted, Wanted]) -> tuple[FakeKernel, Wanted]:
    before, wanted = given
    kernel = machine()
    with state_folder() as state, kernel.installed() as tree:
        if before:
            run(tree, kernel, state, before)
    kernel.wake()
    return kernel, wanted


def _shrinking() -> tuple[FakeKernel, Wanted]:
    kernel = machine()
    kernel.make(CHILD, cache=100 * M, anon=100 * M)
    kernel.put(PARENT, "memory.swap.max", "0")
    return kernel, {"web": {"memory.max": "80M", "memory.swap.max": "1G", "pids.max": 9}, "mail": {"pids.max": 9}}


def _enabling() -> tuple[FakeKernel, Wanted]:
    kernel = FakeKernel()
    kernel.make("/a/b", enable=False)
    kernel.make("/a/b/c", enable=False, procs=(5,))
    return kernel, {"/a/b/c": {"memory.max": "1G", "cpu.weight": 50}, "/a": {"pids.max": 5}}


def _a_file_that_comes_with_its_controller() -> tuple[FakeKernel, Wanted]:
    kernel = FakeKernel()
    kernel.lacks.remove("io.bfq.weight")
    kernel.make("/a/b", enable=False, procs=(5,))
    return kernel, {"/a/b": {"io.weight": 200, "pids.max": 9}}


SCENARIOS = {**{name: lambda given=given: _plain(given) for name, given in FIRST.items()},
             "memory in use is shrunk, swap given": _shrinking, "controllers are enabled": _enabling,
             "a file comes with its controller": _a_file_that_comes_with_its_controller}  # fmt: skip


class Trial:
    """One scenario: its old state, its new state, and how many operations lie between."""

    def __init__(self, kernel: FakeKernel, wanted: Wanted) -> None:
        self.kernel, self.wanted = kernel, wanted
        self.old = kernel.limits()
        self.usage = [(node.anon, node.cache) for node in kernel.root.family()]
        twin = kernel.copy()
        with state_folder() as state, twin.installed() as tree:
            make(state)
            run(tree, twin, state, wanted)
        self.new = twin.limits()
        self.length = len(twin.operations)

    def faulty(self) -> Iterator[tuple[int, FakeKernel]]:
        """For every operation the machine before it all."""
        for number in range(self.length):
            yield number, self.kernel.copy()


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("fault", [errno.EIO, errno.EINTR, INTERRUPT])
def test_a_fault_at_any_operation_ends_in_exactly_the_old_or_exactly_the_new(name: str, fault: int | str) -> None:
    trial = Trial(*SCENARIOS[name]())
    for number, kernel in trial.faulty():
        with state_folder() as state, kernel.installed() as tree:
            make(state)
            kernel.faults = {number: fault}
            try:
                run(tree, kernel, state, trial.wanted)
                expected = trial.new
            except RctlError:
                expected = trial.old
            except KeyboardInterrupt:  # one that comes while the end is written down waits for that
                expected = trial.new if list(history(state)) else trial.old
            at = kernel.operations[number]
            assert kernel.limits() == expected, at
            assert kernel.kills == 0
            assert left_open(state) == [] or at.kind == "journal unlink", at
            settle(tree, kernel, state)
            assert kernel.limits() == expected, at
            assert len(history(state)) == (expected == trial.new), at
            assert unwritten(state) == []


def settle(tree: Tree, kernel: FakeKernel, state: State) -> list[str]:
    """Recover, and what it says it did."""
    told = recover(Site(tree, kernel.host, state), 0.05)
    return [word for line in told for word in ("rolled back", "rolled forward") if word in line]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_second_fault_while_putting_back_leaves_a_journal_that_recover_settles(name: str) -> None:
    trial = Trial(*SCENARIOS[name]())
    kernel = trial.kernel.copy()
    with state_folder() as state, kernel.installed() as tree:
        make(state)
        run(tree, kernel, state, trial.wanted)
    first = max(n for n, op in enumerate(kernel.operations) if op.kind == "write")
    for number in range(first + 1, first + 1 + trial.length):
        kernel = trial.kernel.copy()
        with state_folder() as state, kernel.installed() as tree:
            make(state)
            kernel.faults = {first: errno.EIO, number: errno.EIO}
            with pytest.raises(RctlError) as caught:
                run(tree, kernel, state, trial.wanted)
            done = number >= len(kernel.operations)
            in_doubt = isinstance(caught.value, RollbackError)
            assert kernel.limits() == trial.old or in_doubt
            if in_doubt or left_open(state):  # the journal itself could not be removed
                kernel.faults = {}
                assert settle(tree, kernel, state) == ["rolled back"]
            assert kernel.limits() == trial.old
            assert left_open(state) == []
        if done:
            break


@pytest.mark.parametrize("name", SCENARIOS)
def test_ctrl_c_while_a_failure_is_put_back_does_not_stop_the_putting_back(name: str) -> None:
    trial = Trial(*SCENARIOS[name]())
    for number, kernel in trial.faulty():
        with state_folder() as state, kernel.installed() as tree:
            make(state)
            kernel.faults = {number: errno.EIO, number + 1: INTERRUPT, number + 4: errno.EIO}
            with suppress(RctlError, KeyboardInterrupt):
                run(tree, kernel, state, trial.wanted)
            kernel.faults = {}
            settle(tree, kernel, state)
            assert kernel.limits() in (trial.old, trial.new), kernel.operations[number]


@pytest.mark.parametrize("name", SCENARIOS)
def test_after_a_crash_at_any_operation_recover_brings_exactly_the_old_or_the_new_and_says_which(name: str) -> None:
    trial = Trial(*SCENARIOS[name]())
    seen = set()
    for number, kernel in trial.faulty():
        with state_folder() as state:
            crash(kernel, state, trial.wanted, number)
            between = kernel.limits()
            with kernel.installed() as tree:
                said = settle(tree, kernel, state)
            seen.update(said)
            expected = {"rolled back": trial.old, "rolled forward": trial.new}[said[0]] if said else between
            assert kernel.limits() == expected
            assert expected in (trial.old, trial.new)
            assert left_open(state) == []
            assert kernel.kills == 0
            assert ("rolled forward" in said) <= (len(list(history(state))) == 1)
    assert seen == {"rolled back", "rolled forward"}


def crash(kernel: FakeKernel, state: State, wanted: Wanted, number: int) -> None:
    """kill -9 before the operation of this number."""
    with kernel.installed() as tree:
        make(state)
        kernel.faults = {number: CRASH}
        with contextlib.suppress(Crash):
            run(tree, kernel, state, wanted)
    kernel.wake()


@pytest.mark.parametrize("name", ["memory in use is shrunk, swap given", "controllers are enabled"])
def test_a_crash_of_the_recovery_itself_changes_nothing_of_what_it_decided(name: str) -> None:
    trial = Trial(*SCENARIOS[name]())
    for number in [*range(trial.length // 2, trial.length - 12, 5), *range(trial.length - 12, trial.length)]:
        once = trial.kernel.copy()
        with state_folder() as state:
            crash(once, state, trial.wanted, number)
            if not left_open(state):
                continue
            (journal,) = left_open(state)
            line = Path(state.journals, journal).read_bytes()
        decided = recovered(once.copy(), journal, line, None)
        assert decided is not None
        for again in range(500):
            kernel = once.copy()
            told = recovered(kernel, journal, line, again)
            assert kernel.limits() == (trial.new if decided == ["rolled forward"] else trial.old)
            assert told in (decided, []), "what was being rolled back is never told as rolled forward"
            if not told:
                break


def recovered(kernel: FakeKernel, journal: str, line: bytes, killed: int | None) -> list[str]:
    """What recover says of a journal, once more after a first one was ``killed`` before that operation."""
    with state_folder() as state:
        make(state)
        place = Path(state.journals, journal)
        place.write_bytes(line)
        place.chmod(0o600)
        if killed is not None:
            with kernel.installed() as tree:
                kernel.faults = {killed: CRASH}
                with suppress(Crash):
                    settle(tree, kernel, state)
            kernel.wake()
        with kernel.installed() as tree:
            told = settle(tree, kernel, state)
        records = [record.id for record in history(state)]
        assert len(records) <= 1
        assert left_open(state) == []
        return told


# What recovery leaves alone


def test_recovery_leaves_a_value_that_somebody_else_has_changed_since() -> None:
    kernel, wanted = _plain(FIRST["lowered, children first"])
    old = kernel.limits()
    with state_folder() as state:
        crash(kernel, state, wanted, after_write(kernel, wanted, 3))
        kernel.put(OTHER, "cpu.max", "30000 100000")
        kernel.put(CHILD, "memory.max", str(77 * M))
        with kernel.installed() as tree:
            (told,) = recover(Site(tree, kernel.host, state), 0.05)
    assert f"{CHILD}: memory.max was changed by somebody else since and stays" in told
    changed = {(OTHER, "cpu.max"): "30000 100000", (CHILD, "memory.max"): str(77 * M)}
    assert kernel.limits() == {**old, **changed}


def test_recovery_keeps_a_controller_on_that_somebody_elses_value_needs() -> None:
    kernel, wanted = _enabling()
    with state_folder() as state:
        crash(kernel, state, wanted, after_write(kernel, wanted, 5))
        kernel.put("/a/b/c", "memory.max", str(77 * M))
        with kernel.installed() as tree:
            (told,) = recover(Site(tree, kernel.host, state), 0.05)
    assert "/a/b/c: memory.max was changed by somebody else" in told
    assert kernel.get("/a/b/c", "memory.max") == str(77 * M)


def test_recovery_leaves_a_new_ve_of_the_same_name_alone() -> None:
    kernel, wanted = _plain(FIRST["one limit"])
    with state_folder() as state:
        crash(kernel, state, wanted, after_write(kernel, wanted, 1))
        kernel.remove(PARENT)
        kernel.make(PARENT)
        kernel.put(PARENT, "pids.max", "50")
        with kernel.installed() as tree:
            recover(Site(tree, kernel.host, state), 0.05)
        assert kernel.get(PARENT, "pids.max") == "50"
        assert left_open(state) == []


def after_write(kernel: FakeKernel, wanted: Wanted, count: int) -> int:
    """The number of the operation after so many writes to cgroups."""
    twin = kernel.copy()
    with state_folder() as state, twin.installed() as tree:
        make(state)
        run(tree, twin, state, wanted)
    return [n for n, op in enumerate(twin.operations) if op.kind == "write"][count - 1] + 1


# Plans that nobody thought of

SIZES = st.sampled_from(["64M", "128M", "256M", "512M", "1G", "max"])
LIMITS: dict[str, st.SearchStrategy[Any]] = {
    "memory.max": SIZES,
    "memory.high": SIZES,
    "memory.swap.max": st.sampled_from([0, "64M", "512M", "max"]),
    "memory.low": st.sampled_from([0, "32M"]),
    "memory.oom.group": st.booleans(),
    "cpu.max": st.sampled_from([0.5, 1, 2, "max"]),
    "cpu.period": st.sampled_from(["20ms", "100ms", "1s"]),
    "cpu.burst": st.sampled_from([0, "5ms", "40ms", "150ms"]),
    "cpu.weight": st.sampled_from([1, 100, 300, "idle"]),
    "cpuset.cpus": st.sampled_from(["0", "0-1", "2-3"]),
    "pids.max": st.sampled_from([0, 50, "max"]),
    "io.weight": st.sampled_from([1, 100]),
    "files.io.max": st.sampled_from(["8:0 rbps=1048576", "8:0 rbps=max wiops=7", "8:16 wbps=2097152"]),
    "files.cgroup.pressure": st.sampled_from([0, 1]),
}
ONE = st.fixed_dictionaries({}, optional=LIMITS).filter(bool)
WANTED = st.dictionaries(st.sampled_from(["web", CHILD, "mail"]), ONE, min_size=1)
USE = st.sampled_from([0, 30 * M, 100 * M, 300 * M])


@st.composite
def machines(draw: st.DrawFn) -> FakeKernel:
    """A machine on which some adjustments went well before, with memory in use."""
    kernel = machine()
    if draw(st.booleans()):
        kernel.lacks |= draw(st.sets(st.sampled_from(["memory.reclaim", "cpu.max.burst", "cpu.idle"])))
        for node in kernel.root.family():
            for lacking in kernel.lacks:
                node.files.pop(lacking, None)
    with state_folder() as state, kernel.installed() as tree:
        for wanted in draw(st.lists(WANTED, max_size=2)):
            try:
                run(tree, kernel, state, wanted)
            except RctlError:
                continue
    for path in (CHILD, OTHER):
        room = min((int(v) for n in kernel.node(path).line() if (v := n.files["memory.max"]) != "max"), default=1 << 40)
        kernel.make(path, cache=min(draw(USE), room // 2), anon=min(draw(USE), room // 2))
    kernel.wake()
    return kernel


def often(count: int) -> Any:
    """The same examples every time; not made smaller on a failure, which takes minutes here."""
    return settings(derandomize=True, deadline=None, database=None, max_examples=count, phases=[Phase.generate])


@often(150)
@given(machines(), WANTED)
def test_any_adjustment_is_all_or_nothing_and_nothing_is_left_to_do_after_it(k: FakeKernel, wanted: Wanted) -> None:
    old, watch = k.limits(), Watch(k)
    with state_folder() as state, k.installed() as tree:
        try:
            account = run(tree, k, state, wanted)
        except RctlError:
            assert k.limits() == old
            assert left_open(state) == []
            return
        finally:
            assert k.kills == 0, "nothing is killed without --force"
        watch.check(old, k.limits(), [step for outcome in account.outcomes for step in outcome.steps])
        again = run(tree, k, state, wanted)
        assert again.id is None, [s.describe() for o in again.outcomes for s in o.steps]


@often(100)
@given(machines(), st.lists(WANTED, min_size=1, max_size=3))
def test_undo_goes_back_step_by_step_to_exactly_what_was(k: FakeKernel, several: list[Wanted]) -> None:
    with state_folder() as state, k.installed() as tree:
        states = []
        for wanted in several:
            before = k.limits()
            try:
                if run(tree, k, state, wanted).id:
                    states.append(before)
            except RctlError:
                continue
        for before in reversed(states):
            try:
                undo(Site(tree, k.host, state), Options(deadline=0.05))
            except ShrinkError:
                return
            assert k.limits() == before


@often(8)
@given(machines(), WANTED)
def test_any_plan_survives_a_crash_at_every_operation(kernel: FakeKernel, wanted: Wanted) -> None:
    trial = try_out(kernel, wanted)
    for number, twin in trial.faulty():
        with state_folder() as state:
            crash(twin, state, trial.wanted, number)
            with twin.installed() as tree:
                said = settle(tree, kernel, state)
            expected = [trial.new] if said == ["rolled forward"] else [trial.old] if said else [trial.old, trial.new]
            assert twin.limits() in expected
            assert twin.kills == 0


@often(12)
@given(machines(), WANTED, st.sampled_from([errno.EIO, errno.EACCES, INTERRUPT]))
def test_any_plan_survives_a_fault_at_every_operation(kernel: FakeKernel, wanted: Wanted, fault: int | str) -> None:
    trial = try_out(kernel, wanted)
    for number, twin in trial.faulty():
        with state_folder() as state, twin.installed() as tree:
            make(state)
            twin.faults = {number: fault}
            try:
                run(tree, twin, state, trial.wanted)
            except RollbackError:
                settle(tree, kernel, state)
            except (RctlError, KeyboardInterrupt):
                pass
            assert twin.limits() in (trial.old, trial.new), twin.operations[number]
            assert twin.kills == 0


@often(30)
@given(machines(), WANTED, st.data())
def test_any_plan_survives_files_that_fail_for_good_until_they_are_mended(
    kernel: FakeKernel, wanted: Wanted, data: st.DataObject
) -> None:
    trial = try_out(kernel, wanted)
    since = data.draw(st.integers(0, trial.length - 1))
    path = data.draw(st.sampled_from(["", PARENT, CHILD, OTHER]))
    twin = kernel.copy()

    def broken(op: Operation) -> int | None:
        late, here = len(twin.operations) > since, op.path == path or not path
        return errno.EIO if late and here and op.kind == "write" else None

    with state_folder() as state, twin.installed() as tree:
        twin.broken = broken
        in_doubt = False
        try:
            run(tree, twin, state, trial.wanted)
        except RollbackError:
            in_doubt = True
        except RctlError:
            pass
        assert bool(left_open(state)) == in_doubt
        twin.broken = lambda op: None
        assert settle(tree, kernel, state) == (["rolled back"] if in_doubt else [])
        assert twin.limits() in (trial.old, trial.new)


def try_out(kernel: FakeKernel, wanted: Wanted) -> Trial:
    try:
        trial = Trial(kernel, wanted)
    except RctlError:
        assume(False)
    assume(trial.length < 400)
    return trial


class Watch:
    """Sees the state after each write, and knows what no state on the way may be."""

    def __init__(self, kernel: FakeKernel) -> None:
        self.kernel = kernel
        self.states: list[State_] = [kernel.limits()]
        self.wrote: list[Operation] = []
        kernel.watch = self._saw

    def _saw(self, operation: Operation) -> None:
        self.states.append(self.kernel.limits())
        self.wrote.append(operation)

    def check(self, old: State_, new: State_, steps: list[Step]) -> None:
        self._never_more_memory_and_swap(old, new)
        self._never_max_on_the_way(old, new)
        self._burst_within_quota()
        self._children_lowered_first_and_raised_last(steps)

    def _never_more_memory_and_swap(self, old: State_, new: State_) -> None:
        for path in (PARENT, CHILD, OTHER):
            most = max(allowed(old, path), allowed(new, path))
            assert all(allowed(state, path) <= most for state in self.states), path

    def _never_max_on_the_way(self, old: State_, new: State_) -> None:
        for operation in self.wrote:
            if operation.text.strip() == "max":
                assert "max" in (old[operation.path, operation.file], new[operation.path, operation.file])

    def _burst_within_quota(self) -> None:
        for state in self.states:
            for path in (PARENT, CHILD, OTHER):
                quota = state.get((path, "cpu.max"), "max").split()[0]
                burst = int(state.get((path, "cpu.max.burst"), "0"))
                assert quota == "max" or burst <= int(quota)

    def _children_lowered_first_and_raised_last(self, steps: list[Step]) -> None:
        order = {(op.path, op.file): n for n, op in enumerate(self.wrote)}
        shrunk = {step.path for step in steps if isinstance(step, Reclaim)}
        sets = [step for step in steps if isinstance(step, Set) and step.path not in shrunk]
        for above in sets:
            for below in sets:
                if (above.path, below.path, above.file) != (PARENT, CHILD, below.file):
                    continue
                file = file_named(above.file)
                down = [file.lowers(step.old, step.new) for step in (above, below)]
                first = order[below.path, file.name] < order[above.path, file.name]
                if down == [True, True]:
                    assert first
                if down == [False, False]:
                    assert not first
                if down == [True, False]:
                    assert not first, "what the parent gives up is gone before the child is given more"


def allowed(state: State_, path: str) -> float:
    """Memory and swap together; memory.high holds a VE as memory.max does."""
    memory = min(as_number(amount_of(state[path, file])) for file in ("memory.max", "memory.high"))
    return memory + as_number(amount_of(state[path, "memory.swap.max"]))
