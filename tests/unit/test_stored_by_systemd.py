"""What systemd stores for a unit, when rctl is killed, the unit stops, or the host boots.

The manager stands in for systemd: it keeps a value for each property, writes its drop-in, and writes the file.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust import owner, writers
from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.records.journal import left_open
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.undoing.undo import Undone, undo
from rctl.adjust.writers import systemd
from rctl.errors import NotAvailableError, NotFoundError, RctlError, RollbackError, UsageError
from rctl.systemd import drop_ins, unit_properties
from rctl.systemd import unit as units
from rctl.systemd.bus import BusError
from rctl.systemd.properties import INFINITY
from rctl.ve.copy import copy
from tests.unit import fake_kernel
from tests.unit.fake_calls import CRASH, Crash, Operation
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

APP = "/system.slice/app.service"
FILES = {"MemoryMax": "memory.max", "MemoryHigh": "memory.high", "TasksMax": "pids.max"}

TIDY = unit_properties.tidy


class Manager:
    """systemd, with one unit that has a file of its own. ``root``: the folder of its drop-ins."""

    def __init__(self, kernel: FakeKernel, root: Path) -> None:
        self.kernel, self.root = kernel, root
        self.known: dict[str, int] = {}
        self.gone = False

    def reach(self) -> None:
        """It is always there."""

    def get(self, unit: str, kind: str, names: Iterable[str]) -> dict[str, Any]:
        if self.gone:
            raise NotAvailableError("systemd cannot be reached")
        self.kernel.tick(Operation("call", APP, "get"))
        if kind == "Unit":
            return {"LoadState": "loaded", "Transient": False}
        return {name: self.known.get(name, INFINITY) for name in names}

    def set(self, unit: str, given: Sequence[tuple[str, tuple[str, Any]]], *, runtime: bool) -> list[str]:
        self.kernel.tick(Operation("call", APP, "set"))
        folder = self.root / ("run" if runtime else "etc") / f"{unit}.d"
        folder.mkdir(parents=True, exist_ok=True)
        for name, (_, value) in given:
            self.known[name] = value
            (folder / f"50-{name}.conf").write_text(f"[Service]\n{name}={'infinity' if value == INFINITY else value}\n")
        with suppress(KeyError):  # the unit is stopped
            self.write_files()
        return [str(path) for path in self.root.rglob("*.conf")]

    def tidied(self, unit: units.Unit, entries: Sequence[unit_properties.StoredProperty], known: Iterable[str]) -> None:
        """rctl removes drop-ins."""
        self.kernel.tick(Operation("call", APP, "tidy"))
        TIDY(unit, entries, known)

    def write_files(self) -> None:
        for name, value in self.known.items():
            self.kernel.put(APP, FILES[name], "max" if value == INFINITY else str(value))

    def start_anew(self) -> None:
        """As a restart of the unit does, or a boot."""
        with suppress(KeyError):
            self.kernel.remove(APP)
        self.kernel.make(APP, procs=(8,))
        self.write_files()

    def boot(self) -> None:
        """Only what is stored for good is there."""
        shutil.rmtree(self.root / "run", ignore_errors=True)
        self.known = dict.fromkeys(FILES, INFINITY)
        for name, line in self.stored().items():
            value = line.partition("=")[2]
            self.known[name[len("etc 50-") : -len(".conf")]] = INFINITY if value == "infinity" else int(value)
        self.start_anew()

    def stored(self) -> dict[str, str]:
        """The last line of each drop-in."""
        return {
            f"{file.parent.parent.name} {file.name}": file.read_text().splitlines()[-1]
            for file in self.root.rglob("*.conf")
        }


class Host:
    """One host with the unit, and rctl's state. Each verb is a process of its own."""

    def __init__(self, kernel: FakeKernel, manager: Manager, state: State, patch: pytest.MonkeyPatch) -> None:
        self.kernel, self.manager, self.rctl, self.patch = kernel, manager, state, patch

    @contextmanager
    def site(self) -> Iterator[Site]:
        with self.kernel.installed() as tree:
            yield Site(tree, self.kernel.host, self.rctl)

    def set(self, wanted: dict[str, Any], **options: Any) -> Account:
        with self.site() as site:
            return adjust(site, {APP: limits(wanted, self.kernel.host)}, Options(deadline=0.05, **options))

    def undo(self) -> list[Undone]:
        with self.site() as site:
            return undo(site, Options(deadline=0.05))

    def recover(self) -> str:
        with self.site() as site:
            told = "; ".join(recover(site, 0.05))
        assert left_open(self.rctl) == []
        return told

    def boot(self) -> None:
        self.patch.setattr(fake_kernel, "BOOT", f"{fake_kernel.BOOT}0")
        self.manager.boot()

    def state(self) -> tuple[dict[str, str | None], dict[str, str]]:
        """What the files hold, and what is stored."""
        return {file: self.kernel.get(APP, file) for file in FILES.values()}, self.manager.stored()


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[Host]]:
    return partial(new_host, tmp_path, monkeypatch)


@pytest.fixture
def host(hosts: Callable[[], AbstractContextManager[Host]]) -> Iterator[Host]:
    with hosts() as host:
        yield host


@contextmanager
def new_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    kernel = FakeKernel()
    kernel.make("/system.slice")
    kernel.make(APP, procs=(7,), cache=1 << 30)
    shutil.rmtree(root := folder / "systemd", ignore_errors=True)
    manager = Manager(kernel, root)
    monkeypatch.setattr(unit_properties, "tidy", manager.tidied)
    monkeypatch.setattr(units, "_bus", lambda uid, pid: manager)
    monkeypatch.setattr(owner, "applies", lambda: True)
    monkeypatch.setattr(writers, "WRITERS", (writers.Way("systemd", lambda _: True, lambda: systemd),))
    places = [("stored", "etc"), ("runtime", "run"), ("runtime", "transient")]
    monkeypatch.setattr(
        drop_ins, "folders", lambda unit: [(place, f"{root}/{name}/{unit.name}.d") for place, name in places]
    )
    with state_folder() as place:
        yield Host(kernel, manager, make(place), monkeypatch)


OLD, NEW = {"memory.max": "2G", "pids.max": 40}, {"memory.max": "1500M", "memory.high": "1G", "pids.max": 60}


def test_the_plan_says_that_an_undo_forgets_a_share_of_the_host(host: Host) -> None:
    host.set({"pids.max": 40})
    [drop_in] = host.manager.root.rglob("*.conf")
    drop_in.write_text("[Service]\nTasksMax=10%\n")
    told = ("app.service: TasksMax=10% depends on the host. An undo puts back the present value",)
    assert host.set({"pids.max": 60}, dry_run=True).notes == told
    assert host.set({"pids.max": 60}).notes == told
    assert host.set({"pids.max": 70}).notes == ()


def test_a_value_that_systemd_refuses_is_named_with_its_limit_and_its_unit(host: Host) -> None:
    takes = host.manager.set

    def refuse(unit: str, given: Sequence[tuple[str, tuple[str, Any]]], *, runtime: bool) -> list[str]:
        if dict(given).get("TasksMax") != ("t", 0):
            return takes(unit, given, runtime=runtime)
        raise BusError("org.freedesktop.DBus.Error.InvalidArgs", "systemd: Value specified in TasksMax is out of range")

    host.patch.setattr(host.manager, "set", refuse)
    with pytest.raises(RctlError) as caught:
        host.set({"pids.max": 0, "memory.max": "1G"})
    assert str(caught.value) == "app.service: pids.max: systemd: Value specified in TasksMax is out of range"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # while a generator is closed
@pytest.mark.parametrize("what", ["set", "undo"])
def test_kill_at_any_call_leaves_all_old_or_all_new_also_in_what_is_stored(
    hosts: Callable[[], AbstractContextManager[Host]], what: str
) -> None:
    def do(host: Host) -> None:
        host.set(NEW) if what == "set" else host.undo()

    def begin(host: Host) -> None:
        host.set(OLD)
        if what == "undo":
            host.set(NEW)
        host.kernel.wake()

    with hosts() as host:
        begin(host)
        old = host.state()
        do(host)
        new = host.state()
    assert old != new
    ended = set()
    for at in count():
        with hosts() as host:
            begin(host)
            host.kernel.faults = {at: CRASH}
            with suppress(Crash):
                do(host)
                break
            host.kernel.wake()
            host.recover()
            assert host.state() in (old, new), at
            ended.add(host.state() == new)
    assert ended == {True, False}


def test_a_memory_high_that_held_the_unit_back_is_put_back_as_it_was_stored(host: Host) -> None:
    """Given a change that lowers it together with ``memory.max``, and fails at its end."""
    host.set({"memory.high": "2G"})
    old = host.state()
    faults = iter([errno.EIO])
    host.kernel.broken = lambda operation: next(faults, None) if operation.file == "tidy" else None
    with pytest.raises(OSError, match="Input/output error"):
        host.set({"memory.max": "512M", "memory.high": "400M"})
    assert host.state() == old
    assert left_open(host.rctl) == []


@pytest.mark.parametrize("runtime", [False, True])
def test_undo_after_a_restart_of_the_unit_which_keeps_its_drop_ins(host: Host, runtime: bool) -> None:
    host.manager.write_files()
    old = host.state()
    host.set({"memory.max": "1G"}, runtime=runtime)
    host.manager.start_anew()
    host.undo()
    assert host.state() == old


@pytest.mark.parametrize("runtime", [False, True])
def test_undo_while_the_unit_is_stopped(host: Host, runtime: bool) -> None:
    old = host.state()
    host.set({"memory.max": "1G"}, runtime=runtime)
    host.kernel.remove(APP)
    host.undo()
    host.manager.start_anew()
    assert host.state() == old


def test_a_crash_before_the_manager_goes_is_settled_when_it_is_back(host: Host) -> None:
    """As that of a user who logs out: her drop-ins stay, and count at her next login."""
    old = host.state()
    killed_in_mid_change(host, {"memory.max": "1G"})
    host.kernel.remove(APP)
    host.manager.gone = True
    with pytest.raises(RollbackError, match="cannot be reached"):
        host.recover()
    host.manager.gone = False
    host.recover()
    host.manager.start_anew()
    assert host.state() == old


def test_after_a_boot_in_mid_change_what_is_stored_is_as_before(host: Host) -> None:
    host.set({"memory.max": "2G"})
    host.boot()
    old = host.state()
    killed_in_mid_change(host, {"memory.max": "1G", "pids.max": 60})
    host.boot()
    assert host.state() != old
    assert "what is stored for them is as before" in host.recover()
    assert host.state() == old


def test_after_a_boot_in_mid_undo_what_is_stored_is_as_before(host: Host) -> None:
    host.set({"memory.max": "2G"})
    host.set({"memory.max": "1G", "pids.max": 60})
    host.manager.write_files()
    old = host.state()
    kill_while(host, host.undo)
    host.boot()
    host.recover()
    assert host.state() == old


def test_after_a_boot_in_mid_change_until_the_next_boot_nothing_is_to_do(host: Host) -> None:
    host.boot()
    old = host.state()
    killed_in_mid_change(host, {"memory.max": "1G"}, runtime=True)
    host.boot()
    assert "nothing to do" in host.recover()
    assert host.state() == old


@pytest.mark.parametrize("runs", [True, False])
def test_what_is_stored_for_good_can_be_undone_after_a_boot(host: Host, runs: bool) -> None:
    host.boot()
    old = host.state()
    host.set({"memory.max": "512M", "pids.max": 60})
    host.boot()
    assert host.state() != old
    if not runs:
        host.kernel.remove(APP)
    host.undo()
    host.manager.start_anew()
    assert host.state() == old
    with pytest.raises(NotFoundError, match="nothing left to undo"):
        host.undo()


def test_what_is_stored_in_part_is_not_undone_after_a_boot(host: Host) -> None:
    host.set({"memory.max": "1G", "memory.swap.high": "1G"})
    host.boot()
    with pytest.raises(UsageError, match=r"only a part of it is stored: the limits of .*app\.service\."):
        host.undo()


def test_what_lasted_until_the_boot_is_not_undone_after_it(host: Host) -> None:
    host.set({"memory.max": "1G"}, runtime=True)
    host.boot()
    with pytest.raises(UsageError, match="is from before the last boot; its VEs are gone"):
        host.undo()


def killed_in_mid_change(host: Host, wanted: dict[str, Any], **options: Any) -> None:
    kill_while(host, lambda: host.set(wanted, **options))


def kill_while(host: Host, do: Callable[[], object]) -> None:
    """systemd has set the properties, and rctl is killed before it removes drop-ins."""

    def kill(operation: Operation) -> int | None:
        return host.kernel.die() if operation.file == "tidy" else None

    host.kernel.broken = kill
    with pytest.raises(Crash):
        do()
    host.kernel.wake()


def test_a_copy_stores_no_default_that_the_unit_has_already(host: Host) -> None:
    host.kernel.make("/source")
    host.kernel.put("/source", "pids.max", "9")
    with host.site() as site:
        account = copy(site, "/source", [APP], Options())
    assert [step.describe().removeprefix(APP) for one in account.outcomes for step in one.steps] == [
        ": pids.max: max -> 9, through systemd"
    ]
    assert host.manager.stored() == {"etc 50-TasksMax.conf": "TasksMax=9"}


def test_a_copied_default_is_desired_in_the_place_of_another_value(host: Host) -> None:
    host.set({"pids.max": 9})
    host.kernel.put(APP, "pids.max", "max")
    host.kernel.make("/source")
    with host.site() as site:
        copy(site, "/source", [APP], Options())
    assert host.manager.stored() == {"etc 50-TasksMax.conf": "TasksMax=infinity"}
