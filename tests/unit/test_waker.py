"""The process that waits for timers: one at a time, and told of each timed adjustment, however that ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rctl.adjust.request import Options
from rctl.adjust.state_folder import State, make
from rctl.errors import NotAvailableError
from rctl.over_time import service, sleeper
from rctl.over_time import waker as waking
from rctl.over_time.alarm import Alarm
from rctl.over_time.waker import READY, Waker, awaited, connected, take_over
from tests.unit.fake_kernel import state_folder


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as found:
        yield make(found)


def at(state: State, told: list[str] | None = None) -> Any:
    """What these functions need of a host."""
    return SimpleNamespace(state=state, tell=(told if told is not None else list[str]()).append)


@pytest.fixture
def waker(state: State) -> Iterator[Waker]:
    found = Waker(state)
    assert found.take()
    yield found
    found.close()


def test_the_alarm_wakes_at_a_moment_of_the_wall_clock() -> None:
    alarm = Alarm()
    for moment in (time.time() + 0.02, time.time() - 100):
        alarm.at(moment)
        assert waking.select.select([alarm], [], [], 20)[0]
        assert time.time() >= moment
        alarm.heard()
    alarm.at(time.time() + 1000)
    assert waking.select.select([alarm], [], [], 0)[0] == []
    alarm.at(None)
    alarm.heard()
    alarm.close()


def test_there_is_one_at_a_time(state: State, waker: Waker) -> None:
    other = Waker(state)
    assert not other.take()
    other.close()
    link = connected(state)
    assert link is not None
    link.close()


def test_the_end_of_a_connection_wakes_it(state: State, waker: Waker) -> None:
    """Given a timed adjustment under way, then the wait goes on until that has ended."""
    link = connected(state)
    assert link is not None
    ended: list[float] = []
    waiting = threading.Thread(target=lambda: (waker.wait(None), ended.append(time.monotonic())))
    waiting.start()
    begin = time.monotonic()
    while waking.select.select([link], [], [], 0.05)[0]:
        pass
    assert ended == []
    link.close()
    waiting.join(20)
    assert ended
    assert ended[0] >= begin


def test_a_moment_that_is_over_ends_the_wait(waker: Waker) -> None:
    assert waker.wait(time.time() - 1) == set()


def test_other_descriptors_end_it_too(waker: Waker) -> None:
    read, write = os.pipe()
    os.write(write, b"x")
    assert waker.wait(None, [read]) == {read}
    os.close(read)
    os.close(write)


def test_it_does_not_leave_while_somebody_is_connected(state: State, waker: Waker) -> None:
    link = connected(state)
    assert link is not None
    assert not waker.leave()
    again = connected(state)
    assert again is not None, "it listens again"
    link.close()
    again.close()
    waker.wait(None)
    waker.wait(time.time())
    assert waker.leave()
    assert connected(state) is None


def test_what_a_killed_one_left_is_no_obstacle(state: State) -> None:
    killed = Waker(state)
    assert killed.take()
    killed.close()  # the socket's name stays, as after kill -9
    assert (connected(state), os.path.exists(f"{state.run}/waker")) == (None, True)
    after = Waker(state)
    assert after.take()
    (link := connected(state)) and link.close()
    assert link
    after.close()


def test_a_service_takes_the_timers_over_from_a_sleeper(state: State) -> None:
    waker, service = Waker(state), Waker(state)
    assert waker.take()
    taken: list[bool] = []
    taking = threading.Thread(target=lambda: taken.append(take_over(service, state)))
    taking.start()
    while not waker.asked_to_go:
        waker.wait(None)
    waker.close()
    taking.join(20)
    assert taken == [True]
    service.close()


def test_a_keep_that_cannot_begin_leaves_the_timers_to_the_sleeper(
    state: State, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keeper(*_: object, **__: object) -> None:
        raise NotAvailableError("keep needs inotify")

    monkeypatch.setattr(service, "Keeper", keeper)
    with pytest.raises(NotAvailableError, match="needs inotify"):
        service.keep(at(state), Options(), enforce=False, tell=print)
    (link := connected(state)) and link.close()
    assert link
    waker.wait(None)
    assert not waker.asked_to_go


class TestAwaited:
    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
        """The other ends of what was started, in the place of real processes."""
        found: list[socket.socket] = []

        def start() -> socket.socket:
            here, there = socket.socketpair()
            there.send(READY)
            found.append(there)
            return here

        monkeypatch.setattr(waking, "_start", start)
        yield found
        for one in found:
            one.close()

    def test_a_sleeper_is_started_before_the_change(self, state: State, started: list[socket.socket]) -> None:
        with awaited(at(state)):
            (sleeper,) = started
            with pytest.raises(BlockingIOError):
                sleeper.recv(1, socket.MSG_DONTWAIT)
        assert sleeper.recv(1) == b"", "the end is the signal"

    def test_none_is_started_where_one_waits(self, state: State, waker: Waker, started: list[socket.socket]) -> None:
        with awaited(at(state)):
            pass
        assert started == []
        waker.wait(None)

    def test_if_it_dies_meanwhile_another_one_is_started(self, state: State, started: list[socket.socket]) -> None:
        with awaited(at(state)):
            started[0].close()
        assert len(started) == 2
        assert started[1].recv(1) == b""

    def test_it_is_told_if_none_can_be_started(self, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a sleeper that ends before it waits, such as one whose program cannot be loaded."""

        def start() -> socket.socket:
            here, there = socket.socketpair()
            there.close()
            return here

        monkeypatch.setattr(waking, "_start", start)
        told: list[str] = []
        with awaited(at(state, told)):
            pass
        (line,) = told
        assert line.startswith("no process waits for the end of timers")

    def test_the_sleeper_says_that_it_is_there_before_the_change_ends(
        self, state: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sleeper, "next_moment", lambda _: None)
        here, there = socket.socketpair()
        own = os.dup(0)
        os.dup2(there.fileno(), 0)
        there.close()
        try:
            sleeping = threading.Thread(target=sleeper.sleep, args=(at(state),))
            sleeping.start()
            here.settimeout(20)
            assert here.recv(8) == READY
            here.close()
            sleeping.join(20)
            assert not sleeping.is_alive()
        finally:
            os.dup2(own, 0)
            os.close(own)

    def test_a_failed_change_is_a_signal_too(self, state: State, started: list[socket.socket]) -> None:
        with pytest.raises(ZeroDivisionError), awaited(at(state)):
            raise ZeroDivisionError
        assert started[0].recv(1) == b""
