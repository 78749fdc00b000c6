"""Ctrl-C while something must not be interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from rctl import signals
from rctl.signals import STOPS, undisturbed


class StoppedError(Exception):
    """What the handler of these tests raises."""


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise StoppedError(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def held_back() -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


@pytest.mark.parametrize("number", sorted(STOPS))
def test_a_signal_waits_until_the_block_is_done(number: int) -> None:
    done = False
    with pytest.raises(StoppedError), undisturbed():  # noqa: PT012 (the signal comes when the block ends)
        os.kill(os.getpid(), number)
        done = True
    assert done
    assert not held_back()


def test_what_was_held_back_before_stays_so() -> None:
    with undisturbed() as outer:
        with undisturbed() as inner:
            assert inner >= STOPS
        assert held_back() >= STOPS
    assert not outer
    assert not held_back()


def test_a_signal_right_at_the_beginning_leaves_nothing_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    change: Callable[..., Any] = signals.pthread_sigmask

    def comes_now(how: int, mask: Any) -> Any:
        changed = change(how, mask)
        if how == signal.SIG_BLOCK and mask:
            raise StoppedError
        return changed

    monkeypatch.setattr(signals, "pthread_sigmask", comes_now)
    with pytest.raises(StoppedError), undisturbed():
        pytest.fail("the block is not to begin")
    assert not held_back()
