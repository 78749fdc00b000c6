"""Locks on VEs: one adjustment at a time for each of them, whatever process it comes from."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rctl.adjust.lock import Locks
from rctl.adjust.state import State, make
from rctl.errors import BusyError, NotAvailableError
from tests.unit.fake_kernel import state_folder

HOLD = """
import sys
from rctl.adjust.lock import Locks
from rctl.adjust.state import State
with Locks(State(sys.argv[1], sys.argv[2])) as locks:
    locks.take([(7, "/rctl-web1")])
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


@contextmanager
def another_process(state: State) -> Iterator[subprocess.Popen[str]]:
    """A process that holds web1's lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, state.run, state.keep]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_ve_that_another_process_holds_is_named_after_the_wait(state: State) -> None:
    with another_process(state), Locks(state, wait=0) as locks, pytest.raises(BusyError) as caught:
        locks.take([(7, "/rctl-web1")])
    assert str(caught.value).startswith("/rctl-web1: another adjustment holds it. Wait for it to end")


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
