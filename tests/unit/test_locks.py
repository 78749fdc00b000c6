"""Locks on VEs: one adjustment at a time for each of them, whatever process it comes from."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from rctl.adjust.locks import MANY, Locks
from rctl.adjust.progress import Event
from rctl.adjust.records import under_way
from rctl.adjust.records.journal import Journal, new_id
from rctl.adjust.records.record_format import Record, named
from rctl.adjust.state_folder import State, make
from rctl.errors import BusyError, NotAvailableError
from tests.unit.another_process import another_process
from tests.unit.fake_kernel import BOOT, state_folder


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


def test_a_ve_that_another_process_holds_is_named_after_the_wait(state: State) -> None:
    with another_process(state), Locks(state, wait=0) as locks, pytest.raises(BusyError) as caught:
        locks.take([(7, "/rctl-web1")])
    assert str(caught.value) == "/rctl-web1: another adjustment holds it. Wait for it to end, and try again"


@pytest.mark.parametrize("of", [{"/rctl-web1": 7}, {f"/rctl-web{number}": number for number in range(1, 99)}])
def test_whose_adjustment_holds_it_is_told_with_its_process(state: State, of: dict[str, int]) -> None:
    record = Record(new_id(), 1795342500.25, BOOT, "rctl set web1 pids.max=5", of, ())
    journal = msgspec.json.encode(record).decode()
    with another_process(state, journal) as process:
        for running in (True, False):
            if not running:
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            with Locks(state, wait=0) as locks, pytest.raises(BusyError) as caught:
                locks.take([(ino, path) for path, ino in of.items()])
            first, path = f": another adjustment holds it: {record.id} (", next(iter(of)) if len(of) == 1 else "VEs"
            assert str(caught.value).startswith(path + first)
            cure = (
                f"process {process.pid}. Wait for it to end, or end it: kill {process.pid}"
                if running
                else f"process {process.pid}, which is stopped. Let it go on: kill -CONT {process.pid}"
            )
            assert str(caught.value).endswith(f": rctl set web1 pids.max=5), {cure}")
        process.send_signal(signal.SIGCONT)


def test_the_journal_of_a_crash_is_not_taken_for_who_holds_it(state: State) -> None:
    Journal(state, Record(new_id(), 1795342500.25, BOOT, "rctl set web1", {"/rctl-web1": 7}, ())).abandon()
    with another_process(state), Locks(state, wait=0) as locks, pytest.raises(BusyError, match=r"it\. Wait for it"):
        locks.take([(7, "/rctl-web1")])


def test_a_wait_that_lasts_is_told_once_with_whom_it_waits_for(state: State) -> None:
    record = Record(new_id(), 1795342500.25, BOOT, "rctl set web1 pids.max=5", {"/rctl-web1": 7}, ())
    events: list[Event] = []
    with another_process(state, msgspec.json.encode(record).decode()) as process:

        def let_go(event: Event) -> None:
            events.append(event)
            process.kill()

        with Locks(state, wait=60, progress=let_go) as locks:
            locks.take([(7, "/rctl-web1")])
    (event,) = events
    assert event.what == "wait"
    whom = f"{named(record)}, process {process.pid}"
    assert event.text == f"/rctl-web1: waiting for another adjustment, 59 s at most: {whom}"


def test_a_short_wait_is_not_told(state: State) -> None:
    events: list[Event] = []
    with another_process(state), Locks(state, wait=0.1, progress=events.append) as locks, pytest.raises(BusyError):
        locks.take([(7, "/rctl-web1")])
    assert events == []


def test_adjustments_under_way_are_told_and_those_of_a_crash_are_not(state: State) -> None:
    record = Record(new_id(), 1795342500.25, BOOT, "rctl set web1", {"/rctl-web1": 7}, ())
    Journal(state, Record(new_id(), 1795342500.25, BOOT, "rctl set web2", {"/rctl-web2": 8}, ())).abandon()
    with another_process(state, msgspec.json.encode(record).decode()) as process:
        assert list(under_way.under_way(state)) == [under_way.Holder(record, process.pid, stopped=False)]
        process.kill()
    assert list(under_way.under_way(state)) == []


def test_other_ves_are_free_meanwhile(state: State) -> None:
    with another_process(state), Locks(state, wait=0) as locks:
        locks.take([(8, "/rctl-web2")])


def test_a_lock_goes_with_the_process_that_held_it_whatever_ended_it(state: State) -> None:
    with another_process(state) as process, Locks(state, wait=10) as locks:
        process.kill()
        locks.take([(7, "/rctl-web1")])


def test_the_wait_ends_as_soon_as_the_other_lets_go(state: State) -> None:
    begun = time.monotonic()
    with another_process(state) as process, Locks(state, wait=60) as locks:
        assert process.stdin is not None
        process.stdin.close()
        locks.take([(7, "/rctl-web1")])
    assert time.monotonic() - begun < 30


def test_two_adjustments_of_one_process_exclude_each_other_too(state: State) -> None:
    with Locks(state) as first, Locks(state, wait=0) as second:
        first.take([(7, "/rctl-web1")])
        with pytest.raises(BusyError):
            second.take([(7, "/rctl-web1")])


def test_a_ve_may_be_taken_twice_by_the_same_adjustment(state: State) -> None:
    with Locks(state, wait=0) as locks:
        locks.take([(7, "/rctl-web1")])
        locks.take([(7, "/rctl-web1"), (8, "/rctl-web2")])


def test_the_lock_file_holds_nothing(state: State) -> None:
    with Locks(state) as locks:
        locks.take([(1 << 40, "/rctl-web1")])
    assert os.stat(state.locks).st_size == 0


def test_a_link_in_the_place_of_the_lock_file_is_refused(state: State) -> None:
    os.symlink("/etc/passwd", state.locks)
    with pytest.raises(NotAvailableError, match="lock: cannot be opened"):
        Locks(state)


PARENT, CHILD = (7, "/rctl-web1"), (8, "/rctl-web1/job")


def test_who_needs_more_than_it_has_cannot_deadlock_with_adjusters_of_parent_and_child(state: State) -> None:
    """One adjusts the child, then must enable a controller in the parent; the other adjusts both meanwhile."""
    got: list[str] = []

    def both() -> None:
        with Locks(state, wait=60) as locks:
            locks.take([PARENT, CHILD])
            got.append("both")

    other = threading.Thread(target=both)
    with Locks(state, wait=60) as locks:
        locks.take([CHILD], shared=[PARENT])
        other.start()
        while not waits_for(state, PARENT):
            time.sleep(0.001)
        locks.take([PARENT, CHILD])
        got.append("child first, then both")
    other.join()
    assert sorted(got) == ["both", "child first, then both"]


def waits_for(state: State, cgroup: tuple[int, str]) -> bool:
    """Whether somebody stands in the turnstile of a cgroup's lock."""
    with Locks(state) as locks:
        return not locks._try(fcntl.F_WRLCK, (1 << 62) + cgroup[0], 1)


@pytest.mark.parametrize("wanted", [[PARENT], [(100 + number, "/rctl-many") for number in range(MANY)]])
def test_one_who_wants_much_does_not_starve_beside_busy_small_ones(state: State, wanted: list[tuple[int, str]]) -> None:
    """Two by turns share the parent without a gap, as long as the other comes within a moment."""
    holders, stop = [threading.Event(), threading.Event()], threading.Event()

    def busy(me: int) -> None:
        while not stop.is_set():
            with Locks(state, wait=60) as locks:
                locks.take([(50 + me, "/rctl-busy")], shared=[PARENT])
                holders[me].set()
                holders[1 - me].wait(0.5)
                holders[me].clear()

    threads = [threading.Thread(target=busy, args=(me,)) for me in range(2)]
    for thread in threads:
        thread.start()
    try:
        with Locks(state, wait=20) as locks:
            locks.take(wanted)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_forked_worker_does_not_inherit_the_lock(state: State) -> None:
    with Locks(state) as locks:
        locks.take([PARENT])
        worker = os.fork()
        if not worker:
            signal.pause()
    try:
        with Locks(state, wait=10) as locks:  # the child lets go as soon as it runs
            locks.take([PARENT])
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_a_forked_worker_that_leaves_the_block_closes_nothing_of_its_own(state: State) -> None:
    with Locks(state) as locks:
        locks.take([PARENT])
        fd = locks._fd
        worker = os.fork()
        if not worker:
            while os.open("/dev/null", os.O_RDONLY) < fd:
                pass
            locks.__exit__()
            os._exit(0 if os.path.exists(f"/proc/self/fd/{fd}") else 1)
        assert os.waitpid(worker, 0)[1] == 0


def test_locks_that_were_taken_besides_go_and_those_before_stay_as_they_were(state: State) -> None:
    with Locks(state) as locks, Locks(state, wait=0) as second:
        locks.take([], shared=[PARENT])
        with locks.also([PARENT, CHILD]) as free:
            assert free
            with pytest.raises(BusyError):
                second.take([], shared=[PARENT])
        second.take([CHILD], shared=[PARENT])
        with locks.also([PARENT]) as free:
            assert not free
        with pytest.raises(BusyError):
            second.take([PARENT])


def test_a_lock_that_is_free_costs_one_system_call_and_one_for_all_to_see_that_nobody_waits(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def counted(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        return real(*arguments)

    real = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", counted)
    with Locks(state) as locks:
        locks.take([CHILD], shared=[PARENT])
    assert calls == 3
