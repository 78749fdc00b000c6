"""The seam for writers: an owner that keeps properties of its own beside the files, and rctl that writes through it.

The manager here stands for systemd or docker: it knows some limits by names of its own, tells a property that is not
set from one that is set to the default, and writes the files itself. Other limits go to the files in the same
transaction.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from types import FrameType
from typing import Any

import msgspec
import pytest

from rctl.adjust import run_plan, writers
from rctl.adjust.engine import Options, adjust
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import left_open
from rctl.adjust.records.record_format import NewerRecordError, Record, decode, encode
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Enable, Set, SetThrough
from rctl.adjust.undoing.undo import undo
from rctl.adjust.writers import files
from rctl.adjust.writers.base import PutBack
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.files import Texts
from rctl.cgroupfs.tree import Tree
from rctl.errors import KernelError, NotAvailableError, NotFoundError, RctlError
from rctl.formats import File, Write
from tests.unit.fake_calls import CRASH, INTERRUPT, Crash, Operation
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder

PROPERTIES = {"pids.max": "TasksMax", "memory.high": "MemoryHigh", "memory.max": "MemoryMax"}
UNSET = "(unset)"
ASKED = {"pids.max": 50, "memory.high": "1G", "cpu.weight": 300}


class Manager:
    """An owner of cgroups below /rctl-, and its writer. It is another process: a crash of rctl does not end it."""

    NAME = "manager"
    STORES_ONLY = False

    def __init__(self, kernel: FakeKernel) -> None:
        self.kernel = kernel
        self.calls: list[list[str]] = []
        self.properties: dict[tuple[str, str], str] = {("/rctl-web1", "MemoryHigh"): "max"}

    def check(self, tree: Tree, path: str) -> None:
        if not path.startswith("/rctl-"):
            raise NotAvailableError(f"{path}: is not the manager's")

    def resets(self, file: File, path: str) -> bool:
        return False

    def expressible(self, cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
        return [write for write in writes if write.file.name in PROPERTIES]

    def missing(self, tree: Tree, path: str, file: File) -> list[Enable]:
        return files.missing(tree, path, file)

    def kept(
        self, cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]
    ) -> Sequence[str]:
        return [self.properties.get((cgroup.path, PROPERTIES[write.file.name]), UNSET) for write in writes]

    def form(self, file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
        return entry

    def write(self, cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
        """One call sets all properties; then the manager writes the files, and may fail half way."""
        self.calls.append([step.file for step in steps])
        try:
            self.kernel.tick(Operation("call", cgroup.path, steps[0].file))
            for step in steps:
                assert isinstance(step, SetThrough)
                self.properties[cgroup.path, PROPERTIES[step.file]] = step.own
                if step.own == UNSET:
                    del self.properties[cgroup.path, PROPERTIES[step.file]]
                self.kernel.tick(Operation("file", cgroup.path, step.file))
                self.kernel.put(cgroup.path, step.file, step.new)
        except OSError as error:
            raise RctlError(f"the manager does not answer: {error.strerror}") from None
        return []

    def outlives(self, path: str) -> bool:
        return False

    def for_good(self, form: str) -> bool:
        return False

    def put_back(self, path: str, step: SetThrough) -> PutBack:
        raise AssertionError

    def state(self) -> tuple[Any, Any]:
        """What the manager knows, and what the files hold."""
        return dict(self.properties), self.kernel.limits()


@pytest.fixture
def kernel() -> FakeKernel:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(7,))
    return kernel


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


def managed(monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel) -> Manager:
    manager = Manager(kernel)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way(Manager.NAME, lambda _: True, lambda: manager),))
    return manager


def run(tree: Tree, kernel: FakeKernel, state: State, wanted: Any = None, **options: Any) -> Any:
    return adjust(
        Site(tree, kernel.host, state),
        {"web1": limits(wanted or ASKED, kernel.host)},
        Options(deadline=0.05, **options),
    )


def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may talk to the manager may not write its files, but for what a gentle shrink needs."""
    edit = Cgroup.edit

    def refused(self: Cgroup, name: str, known: bool = True) -> str:
        if name in PROPERTIES and name != "memory.high":
            raise KernelError(self.path, name, "", errno.EACCES, "cannot be opened for writing")
        return edit(self, name, known)

    monkeypatch.setattr(Cgroup, "edit", refused)


def test_each_entry_goes_through_the_first_writer_that_can_express_it(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = managed(monkeypatch, kernel)
    with kernel.installed() as tree:
        planned = run(tree, kernel, state, dry_run=True)
        done = run(tree, kernel, state)
    assert {step.file: type(step) for step in done.outcomes[0].steps} == {
        "pids.max": SetThrough, "memory.high": SetThrough, "cpu.weight": Set,
    }  # fmt: skip
    assert planned.outcomes[0].steps == done.outcomes[0].steps
    assert manager.calls == [["pids.max", "memory.high"]]
    assert done.outcomes[0].steps[0].describe().endswith("through manager")
    assert manager.properties == {("/rctl-web1", "TasksMax"): "50", ("/rctl-web1", "MemoryHigh"): "1073741824"}
    assert kernel.get("/rctl-web1", "cpu.weight") == "300"


def test_undo_puts_back_what_was_not_set_as_not_set(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = managed(monkeypatch, kernel)
    before = manager.state()
    with kernel.installed() as tree:
        run(tree, kernel, state)
        undo(Site(tree, kernel.host, state), Options())
        assert manager.state() == before


class Storing(Manager):
    """A manager whose properties stay when the cgroup goes, and count in its next life."""

    def outlives(self, path: str) -> bool:
        return True

    def put_back(self, path: str, step: SetThrough) -> PutBack:
        at = path, PROPERTIES[step.file]
        if (now := self.properties.get(at, UNSET)) == step.own:
            self.properties[at] = step.kept
            if step.kept == UNSET:
                del self.properties[at]
        return "put back" if now in (step.own, step.kept) else "changed"


def test_what_is_stored_for_a_stopped_unit_is_undone_there(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = Storing(kernel)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way(Manager.NAME, lambda _: True, lambda: manager),))
    before = dict(manager.properties)
    with kernel.installed() as tree:
        site = Site(tree, kernel.host, state)
        run(tree, kernel, state)
        after = dict(manager.properties)
        kernel.remove("/rctl-web1")
        (planned,) = undo(site, Options(dry_run=True))
        assert planned.account is not None
        assert {outcome.status for outcome in planned.account.outcomes} == {"planned"}
        assert manager.properties == after
        (undone,) = undo(site, Options())
        assert undone.account is not None
        assert "is stopped; it gets this when it starts" in undone.account.notes[0]
        assert manager.properties == before
        with pytest.raises(NotFoundError, match="nothing left to undo"):
            undo(site, Options())


def test_what_somebody_has_stored_since_for_a_stopped_unit_stays_and_is_told(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = Storing(kernel)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way(Manager.NAME, lambda _: True, lambda: manager),))
    with kernel.installed() as tree:
        site = Site(tree, kernel.host, state)
        run(tree, kernel, state)
        kernel.remove("/rctl-web1")
        manager.properties["/rctl-web1", "TasksMax"] = "70"
        (undone,) = undo(site, Options())
    assert undone.account is not None
    assert [step.file for outcome in undone.account.outcomes for step in outcome.steps] == ["memory.high"]
    assert undone.account.notes == (
        "web1: is stopped; it gets this when it starts", "web1: pids.max was changed since, and stays"
    )  # fmt: skip
    assert manager.properties["/rctl-web1", "TasksMax"] == "70"


def test_an_undo_says_that_the_owner_has_removed_the_container(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = Storing(kernel)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way(Manager.NAME, lambda _: True, lambda: manager),))
    monkeypatch.setattr(manager, "put_back", lambda path, step: "removed")
    with kernel.installed() as tree:
        site = Site(tree, kernel.host, state)
        run(tree, kernel, state)
        kernel.remove("/rctl-web1")
        (undone,) = undo(site, Options())
        assert undone.account is not None
        assert undone.account.outcomes == ()
        assert undone.account.notes == ("web1: was removed; there is nothing to undo there",)
        with pytest.raises(NotFoundError, match="nothing left to undo"):
            undo(site, Options())


def test_an_undo_whose_stopped_unit_is_not_answered_for_can_be_repeated(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = Storing(kernel)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way(Manager.NAME, lambda _: True, lambda: manager),))
    kernel.make("/rctl-web2")
    before = dict(manager.properties)
    with kernel.installed() as tree:
        site = Site(tree, kernel.host, state)
        wanted = limits({"pids.max": 50}, kernel.host)
        adjust(site, {"web1": wanted, "web2": wanted}, Options())
        kernel.remove("/rctl-web2")
        with monkeypatch.context() as patch:
            patch.setattr(manager, "put_back", silent)
            with pytest.raises(NotAvailableError):
                undo(site, Options())
        kernel.put("/rctl-web1", "pids.max", "70")
        with pytest.raises(RctlError, match="is 70 now") as caught:
            undo(site, Options())
        assert "web2: is stopped, and has its old limits already" in caught.value.__notes__
        kernel.put("/rctl-web1", "pids.max", "50")
        undo(site, Options())
    assert manager.properties == before


def silent(*_: object) -> None:
    raise NotAvailableError("the manager does not answer")


def test_undo_without_that_writer_restores_the_entry(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    """The manager has given the cgroup up: its own form means nothing to the files."""
    manager = managed(monkeypatch, kernel)
    with kernel.installed() as tree:
        run(tree, kernel, state)
        monkeypatch.setattr(manager, "check", gives_up)
        undo(Site(tree, kernel.host, state), Options())
    assert kernel.get("/rctl-web1", "pids.max") == "max"
    assert manager.properties[("/rctl-web1", "TasksMax")] == "50"


def test_undo_waits_for_an_owner_that_has_stored_what_was_set(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = managed(monkeypatch, kernel)
    monkeypatch.setattr(Manager, "STORES_ONLY", True)
    with kernel.installed() as tree:
        run(tree, kernel, state)
        before = manager.state()
        monkeypatch.setattr(manager, "check", gives_up)
        with pytest.raises(NotAvailableError):
            undo(Site(tree, kernel.host, state), Options())
    assert manager.state() == before


@pytest.mark.parametrize("resets", [False, True])
def test_undo_by_files_of_what_the_files_have_set_unless_an_owner_resets_it(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State, resets: bool
) -> None:
    with kernel.installed() as tree:
        run(tree, kernel, state)
        manager = managed(monkeypatch, kernel)
        monkeypatch.setattr(manager, "resets", lambda file, path: resets and file.name == "pids.max")
        undo(Site(tree, kernel.host, state), Options())
    assert kernel.get("/rctl-web1", "pids.max") == "max"
    assert manager.calls == ([["pids.max"]] if resets else [])


def gives_up(tree: Tree, path: str) -> None:
    raise NotAvailableError(f"{path}: is not the manager's")


ENDS = {
    "the owner does not know some": ({}, ASKED),
    "the owner knows another value than the file": ({"pids.max": "50", "memory.high": "max"}, {"pids.max": 50}),
    "memory in use is shrunk": ({}, {"memory.max": "512M", "memory.high": "400M", "cpu.weight": 300}),
}
"""By name: what the files hold beside the manager's back before, and what is asked for."""


def before(files: dict[str, str]) -> FakeKernel:
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(7,), cache=1 << 30)
    for file, text in files.items():
        kernel.put("/rctl-web1", file, text)
    return kernel


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("fault", [errno.EIO, INTERRUPT, CRASH])
def test_a_fault_at_any_operation_ends_in_the_old_or_the_new_of_both(
    monkeypatch: pytest.MonkeyPatch, fault: int | str, name: str
) -> None:
    held, asked = ENDS[name]
    unwritable(monkeypatch)
    twin = before(held)
    with pytest.MonkeyPatch.context() as patch, state_folder() as state, twin.installed() as tree:
        manager = managed(patch, twin)
        old = manager.state()
        run(tree, twin, make(state), asked)
        new = manager.state()
        assert new != old
        undo(Site(tree, twin.host, state), Options(deadline=0.05))
        assert manager.state() == old
    ended = set()
    for number in range(len(twin.operations)):
        kernel = before(held)
        manager = managed(monkeypatch, kernel)
        with state_folder() as place:
            state = make(place)
            kernel.faults = {number: fault}
            with kernel.installed() as tree, suppress(RctlError, KeyboardInterrupt, Crash):
                run(tree, kernel, state, asked)
            kernel.wake()
            with kernel.installed() as tree:
                recover(Site(tree, kernel.host, state), 0.05)
            assert manager.state() in (old, new), kernel.operations
            assert left_open(state) == []
            ended.add("new" if manager.state() == new else "old")
    assert ended == {"old", "new"}


def test_ctrl_c_at_any_line_of_a_run_puts_back_all_that_the_owner_set_in_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = set()
    for at in count(1):
        kernel = before({})
        manager = managed(monkeypatch, kernel)
        old = manager.state()[0]
        came = count(1)

        def stop(frame: FrameType, event: str, _: Any, came: Iterator[int] = came, at: int = at) -> Any:
            if event == "line" and next(came) == at:
                raise KeyboardInterrupt
            return stop if frame.f_code is run_plan.run.__code__ else None

        with state_folder() as place, kernel.installed() as tree:
            sys.settrace(stop)
            try:
                with suppress(KeyboardInterrupt):
                    run(tree, kernel, make(place), {"pids.max": 50, "memory.high": "1G", "memory.max": "4G"})
            finally:
                sys.settrace(None)
            recover(Site(tree, kernel.host, make(place)), 0.05)
            now = manager.state()[0]
        assert now == old or len(now) == 3, (at, now)
        ended.add(now == old)
        if next(came) <= at:
            break  # all lines ran
    assert ended == {True, False}


def test_what_the_owner_does_not_know_is_set_although_the_file_holds_it(
    monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel, state: State
) -> None:
    manager = managed(monkeypatch, kernel)
    kernel.put("/rctl-web1", "pids.max", "50")
    with kernel.installed() as tree:
        run(tree, kernel, state, {"pids.max": 50})
        assert manager.properties[("/rctl-web1", "TasksMax")] == "50"
        assert run(tree, kernel, state, {"pids.max": 50}).id is None


def test_a_record_of_a_writer_that_is_not_known_is_refused_by_its_name(state: State) -> None:
    step = SetThrough("/rctl-web1", "pids.max", "max", "50", writer="lxd", kept=UNSET)
    record = Record("20261122-1", 1.0, BOOT, "rctl set", {"/rctl-web1": 7}, (step,), version=5)
    with pytest.raises(NewerRecordError, match="wrote through lxd, which this rctl does not know"):
        decode(encode(record))


@pytest.mark.parametrize("bad", [{"writer": ""}, {"writer": "../x"}, {"writer": "files"}, {"kept": "a\x1bb"}])
def test_a_record_of_no_writer_is_refused(bad: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    managed(monkeypatch, FakeKernel())
    step = SetThrough("/rctl-web1", "pids.max", "max", "50", writer="manager")
    good = Record("20261122-1", 1.0, BOOT, "rctl set", {"/rctl-web1": 7}, (step,), version=5)
    assert decode(encode(good)) == good
    with pytest.raises(ValueError, match="cannot be"):
        decode(encode(msgspec.structs.replace(good, steps=(msgspec.structs.replace(step, **bad),))))


def test_a_record_with_files_alone_is_as_older_rctls_read_it(kernel: FakeKernel, state: State) -> None:
    with kernel.installed() as tree:
        run(tree, kernel, state)
    assert history(state)[-1].version == 2


def test_a_file_comes_along_with_an_entry_whose_owner_enables_its_controller(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enabling(Manager):
        def missing(self, tree: Tree, path: str, file: File) -> list[Enable]:
            return []

        def write(self, cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
            with cgroup.above() as root:
                root.write("cgroup.subtree_control", "+cpu")
            return super().write(cgroup, steps)

    kernel = FakeKernel()
    kernel.make("/rctl-web1", enable=False)
    monkeypatch.setitem(PROPERTIES, "cpu.max", "CPUQuota")
    enabling = Enabling(kernel)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way(enabling.NAME, lambda _: True, lambda: enabling),))
    with kernel.installed() as tree:
        account = run(tree, kernel, state, {"cpu.max": 1, "cpu.burst": 20_000})
        assert [type(step) for one in account.outcomes for step in one.steps] == [SetThrough, Set]
        assert kernel.get("/rctl-web1", "cpu.max.burst") == "20000"
