"""What recovery waits for, whom it leaves alone, and what it says of all that it found."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl.adjust import locks as locks_file
from rctl.adjust.locks import Locks
from rctl.adjust.progress import Event
from rctl.adjust.records import journal as journal_file
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import Journal, UnwrittenError, left_open
from rctl.adjust.records.record_format import Record, version_of
from rctl.adjust.recovery import recover as recover_file
from rctl.adjust.recovery.leftovers import Left
from rctl.adjust.recovery.recover import recover, recover_for
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Make, Remove, Renew, Set, Step
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.errors import BusyError, KernelError, RollbackError
from rctl.host import Host
from tests.unit.another_process import another_process
from tests.unit.fake_kernel import BOOT, FakeKernel, state_folder

M = 1 << 20
PIDS = Set("/rctl-web1", "pids.max", "max", "50")
LOW = Set("/rctl-web1", "memory.low", "0", "4096")
OTHER = Set("/rctl-web2", "pids.max", "max", "50")
BACK = "rolled back to what was there before"


@pytest.fixture
def kernel() -> FakeKernel:
    """Two VEs, on a machine without swap."""
    kernel = FakeKernel(swap=0)
    kernel.make("/rctl-web1")
    kernel.make("/rctl-web2")
    return kernel


@pytest.fixture
def tree(kernel: FakeKernel) -> Iterator[Tree]:
    with kernel.installed() as tree:
        yield tree


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


@pytest.fixture
def site(kernel: FakeKernel, tree: Tree, state: State) -> Site:
    return Site(tree, kernel.host, state)


def begun(kernel: FakeKernel, state: State, *steps: Step, name: str, command: str = "rctl set") -> Journal:
    """An adjustment that is under way."""
    paths = {step.path for step in steps if not isinstance(step, Make)} | {"/"}
    inodes = {path: kernel.node(path).ino for path in paths}
    return Journal(state, Record(name, 1.0, BOOT, command, inodes, steps, version=version_of(steps)))


def crashed(kernel: FakeKernel, state: State, *steps: Step, name: str = "1", command: str = "rctl set") -> None:
    """One whose process is gone, half way: its first limit is written."""
    begun(kernel, state, *steps, name=name, command=command).abandon()
    for step in steps[:1]:
        if isinstance(step, Set):
            kernel.put(step.path, step.file, step.new)


# What keeps it from being settled


def test_who_waits_for_another_adjustment_of_the_same_ve_hears_so_and_goes_on(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_file, "_SILENT", 0.0)
    crashed(kernel, site.state, PIDS, LOW)
    heard: list[str] = []
    with another_process(site.state, ino=kernel.node("/rctl-web1").ino) as process:

        def hear(event: Event) -> None:
            heard.append(event.what)
            process.kill()

        assert recover(msgspec.structs.replace(site, progress=hear), 1, 30) == [f"recovered 1 (rctl set): {BACK}"]
    assert heard == ["wait"]


def test_what_only_others_locks_keep_from_being_settled_is_busy_and_the_rest_is_settled(
    kernel: FakeKernel, site: Site
) -> None:
    crashed(kernel, site.state, PIDS, LOW, name="1")
    crashed(kernel, site.state, OTHER, OTHER, name="2")
    with Locks(site.state) as other:
        other.take([(kernel.node("/rctl-web1").ino, "/rctl-web1")])
        with pytest.raises(BusyError, match=r"^/rctl-web1: ") as caught:
            recover(site, 1, 0)
    assert caught.value.settled == ("recovered 2 (rctl set): rolled forward, all of it had been written",)
    assert (left_open(site.state), kernel.get("/rctl-web1", "pids.max")) == (["1.json"], "50")


def test_whatever_else_keeps_one_from_being_settled_comes_before_that(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    Path(site.state.journals, "x.json").write_bytes(b"\x00")
    with Locks(site.state) as other:
        other.take([(kernel.node("/rctl-web1").ino, "/rctl-web1")])
        with pytest.raises(RollbackError) as caught:
            recover(site, 1, 0)
    first, second = str(caught.value).split("; it is set aside as x.json.aside. Look at it, then remove it by hand; ")
    assert first.startswith(f"{site.state.journals}/x.json: not a journal of rctl: ")
    assert second.startswith("/rctl-web1: ")


def test_all_that_could_not_be_put_back_is_told_in_one_line(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW, Set("/rctl-web1", "memory.min", "0", "4096"))
    kernel.put("/rctl-web1", "memory.low", "4096")
    kernel.broken = lambda operation: errno.EIO if operation.kind == "write" else None
    with pytest.raises(RollbackError) as caught:
        recover(site, 1)
    told = str(caught.value)
    assert told.startswith("1 (rctl set): not put back: memory.low: ")
    assert "; pids.max: " in told
    assert told.endswith(". Mend the cause and run rctl recover again")
    assert told.count("; ") == 1


# Ctrl-C


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "name", "outcome"),
    [
        (recover_file, "roll_back", "is half done: rctl recover completes it"),
        (Left, "kept", "is settled"),
    ],
)
def test_ctrl_c_says_of_the_one_under_way_whether_it_is_settled_and_what_became_of_the_others(
    kernel: FakeKernel,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    name: str,
    outcome: str,
) -> None:
    crashed(kernel, site.state, PIDS, LOW, name="1")
    crashed(kernel, site.state, OTHER, name="2")
    monkeypatch.setattr(place, name, interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        recover(site, 1)
    assert caught.value.__notes__ == [
        f"an adjustment under way {outcome}",
        "recovered 2 (rctl set): rolled forward, all of it had been written",
    ]
    assert len(left_open(site.state)) == ("half" in outcome)


# What is said


def test_one_without_a_command_is_called_an_adjustment(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW, command="")
    assert recover(site, 1) == [f"recovered 1 (adjustment): {BACK}"]


def test_one_from_before_the_last_boot_does_not_come_into_the_history(
    kernel: FakeKernel, tree: Tree, state: State
) -> None:
    later = Host({"/proc/sys/kernel/random/boot_id": "a later boot"}.__getitem__)
    crashed(kernel, state, PIDS)
    assert len(recover(Site(tree, later, state), 1)) == 1
    assert history(state) == []


def test_all_that_somebody_else_changed_since_is_named(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW, Set("/rctl-web1", "memory.min", "0", "4096"))
    kernel.put("/rctl-web1", "pids.max", "60")
    kernel.put("/rctl-web1", "memory.low", "8192")
    stays = "was changed by somebody else since and stays"
    assert recover(site, 1) == [
        f"recovered 1 (rctl set): {BACK}; /rctl-web1: memory.low {stays}; /rctl-web1: pids.max {stays}"
    ]


def test_each_new_ve_that_somebody_else_has_filled_is_named_and_stays(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, Make("/rctl-new1"), Make("/rctl-new2"), Make("/rctl-new3"), Make("/rctl-new4"))
    kernel.put("/rctl-web1", "pids.max", "60")
    for name in ("new1", "new2", "new3"):
        kernel.make(f"/rctl-{name}", enable=False, procs=() if name == "new3" else (99,))
    stays = "somebody else has filled it since, and it stays"
    assert recover(site, 1) == [
        f"recovered 1 (rctl set): {BACK}; /rctl-web1: pids.max was changed by somebody else since and stays"
        f"; /rctl-new1: {stays}; /rctl-new2: {stays}"
    ]
    assert {"rctl-new1", "rctl-new2"} == {name for name in kernel.root.children if "new" in name}


def test_what_is_rolled_forward_goes_on_from_where_it_was_and_tells_what_stays(kernel: FakeKernel, site: Site) -> None:
    """The first VE to be removed has been filled, the second goes, the third has gone. A partition is valid again."""
    kernel.make("/rctl-web3", procs=(99,))
    for path in ("/rctl-web4", "/rctl-web5"):
        kernel.make(path)
    kernel.put("/rctl-web2", "cpuset.cpus", "1")
    kernel.put("/rctl-web2", "cpuset.cpus.partition", "root")
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = "root invalid (Cpu list not exclusive)"
    removes = [Remove(f"/rctl-web{number}") for number in (3, 4, 5)]
    journal = begun(kernel, site.state, PIDS, *removes, Renew("/rctl-web2", "root"), name="1", command="rctl apply")
    journal.decide_forward()
    journal.abandon()
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.remove("/rctl-web5")
    (told,) = recover(site, 0)
    assert told.startswith("recovered 1 (rctl apply): rolled forward, all of it is done; ")
    assert told.endswith("; it stays")
    assert (told.count("; "), "web3" in told) == (2, True)
    assert {"rctl-web1", "rctl-web2", "rctl-web3"} == set(kernel.root.children)
    assert kernel.get("/rctl-web2", "cpuset.cpus.partition") == "root"
    assert [record.id for record in history(site.state)] == ["1"]


def test_a_partition_that_stays_a_member_is_told_after_what_was_done(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.put("/rctl-web2", "cpuset.cpus", "1")
    kernel.put("/rctl-web2", "cpuset.cpus.partition", "root")
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = "root invalid (Cpu list not exclusive)"
    crashed(kernel, site.state, PIDS, Renew("/rctl-web2", "root"))
    write = Cgroup.write

    def refused(cgroup: Cgroup, name: str, text: str) -> None:
        if text.startswith("root"):
            raise KernelError(cgroup.path, name, text, errno.EBUSY)
        write(cgroup, name, text)

    monkeypatch.setattr(Cgroup, "write", refused)
    (told,) = recover(site, 1)
    assert told.startswith(
        "recovered 1 (rctl set): rolled forward, all of it had been written; /rctl-web2: its partition is a member now."
    )


def test_a_finished_one_that_was_set_aside_comes_into_the_history(kernel: FakeKernel, site: Site) -> None:
    begun(kernel, site.state, PIDS, name="1").abandon()
    os.rename(f"{site.state.journals}/1.json", f"{site.state.journals}/1.json.ended.aside")
    kernel.put("/rctl-web1", "pids.max", "70")
    assert recover(site, 1) == ["recovered 1 (rctl set): it had ended, and is in the history now"]
    assert [record.id for record in history(site.state)] == ["1"]
    assert kernel.get("/rctl-web1", "pids.max") == "70"


@pytest.fixture
def half_full(kernel: FakeKernel, state: State, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two adjustments have ended and are not in the history, which has room for one line more. What is told of them."""
    for name in ("1", "2"):
        begun(kernel, state, PIDS, name=name).abandon()
        os.rename(f"{state.journals}/{name}.json", f"{state.journals}/{name}.json.ended")
    append = journal_file.append

    def first(*given: Any) -> None:
        append(*given)
        monkeypatch.setattr(journal_file, "append", full)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_file, "append", first)
    return [
        "recovered 1 (rctl set): it had ended, and is in the history now",
        f"2 (rctl set): {state.history}: cannot be written: No space left on device. Make room there, then run rctl "
        "recover; this adjustment stands",
    ]


def test_what_the_history_does_not_take_is_an_error_of_its_own_and_the_rest_is_told(
    site: Site, half_full: list[str]
) -> None:
    with pytest.raises(UnwrittenError) as caught:
        recover(site, 1)
    assert [*caught.value.settled, str(caught.value)] == half_full


# Before an adjustment of the first VE


def test_what_the_history_takes_and_what_not_is_told_before_an_adjustment(site: Site, half_full: list[str]) -> None:
    assert before(site) == half_full


def before(site: Site, seconds: float = 0.0, apart: str = "") -> list[str]:
    """What an adjustment of the first VE, which holds its lock, settles first."""
    with Locks(site.state) as locks, site.tree.walk("/rctl-web1") as own:
        locks.take([(own.ino, own.path)])
        return recover_for(site, 30, locks, [own], time.monotonic() + seconds, apart)


def test_all_that_speak_of_it_are_settled_newest_first_but_for_its_own_journal(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, LOW, LOW, name="1")
    crashed(kernel, site.state, PIDS, Set("/rctl-web1", "memory.min", "0", "4096"), name="2")
    own = begun(kernel, site.state, PIDS, name="3")
    assert before(site, apart="3") == [
        f"recovered 2 (rctl set): {BACK}",
        "recovered 1 (rctl set): rolled forward, all of it had been written",
    ]
    assert left_open(site.state) == ["3.json"]
    own.abandon()


def test_where_another_process_settles_one_of_the_same_ve_it_waits_so_long_and_no_longer(
    kernel: FakeKernel, site: Site
) -> None:
    living = begun(kernel, site.state, PIDS, name="1")
    with pytest.raises(BusyError) as caught:
        before(site, 0.03)
    assert str(caught.value) == "1: another process is recovering it. Wait, and try again"
    living.abandon()


@pytest.mark.parametrize("end", ["abandon", "close"])
def test_it_looks_a_hundred_times_a_second_whether_the_other_is_done(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    living = begun(kernel, site.state, PIDS, LOW, name="1")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            living.abandon() if end == "abandon" else living.close(done=False)

    monkeypatch.setattr(recover_file.time, "sleep", sleep)
    assert before(site, 60) == ([f"recovered 1 (rctl set): {BACK}"] if end == "abandon" else [])
    assert slept == [0.01, 0.01]
    assert left_open(site.state) == []


def test_one_of_another_ve_that_somebody_holds_is_left_alone(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, OTHER, Set("/rctl-web2", "memory.low", "0", "4096"))
    with Locks(site.state) as other:
        other.take([(kernel.node("/rctl-web2").ino, "/rctl-web2")])
        assert before(site) == []
    assert (left_open(site.state), kernel.get("/rctl-web2", "pids.max")) == (["1.json"], "50")
    assert before(site) == [f"recovered 1 (rctl set): {BACK}"]


def test_memory_of_another_ve_is_waited_for_a_second_and_no_longer(kernel: FakeKernel, site: Site) -> None:
    raised = Set("/rctl-web2", "memory.max", str(100 * M), "max")
    kernel.put("/rctl-web2", "memory.max", str(100 * M))
    crashed(kernel, site.state, raised, OTHER)
    kernel.node("/rctl-web2").anon = 200 * M
    (told,) = before(site)
    assert "not reclaimable within 1 s" in told
    assert told.endswith(" (other VEs than these)")
    assert left_open(site.state) == ["1.json"]


def test_what_is_no_journal_and_is_held_by_its_process_is_left_alone(kernel: FakeKernel, site: Site) -> None:
    place = Path(site.state.journals, "x.json")
    place.write_bytes(b"\x00")
    with place.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert before(site) == []
        assert left_open(site.state) == ["x.json"]
    (told,) = before(site)
    assert "it is set aside as x.json.aside" in told
