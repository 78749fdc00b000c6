"""Several adjusters at once, and many adjustments under load: nothing is mixed, nothing is lost."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.records.history import history
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, default_state
from rctl.adjust.steps import Make
from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.tree import Tree
from rctl.errors import BusyError
from rctl.limits import decode, nest
from rctl.ve import bare
from tests.kernel.helpers import LARGE, Recorder, Ve, no_journal, set_all
from tests.kernel.workload import Worker, burner, filler, sleeper, syncer, until

ONE = {"pids.max": 111, "memory.max": "100M", "memory.high": "90M", "cpu.max": 0.5, "cpu.weight": 111}
TWO = {"pids.max": 222, "memory.max": "200M", "memory.high": "180M", "cpu.max": 1.5, "cpu.weight": 222}
KEPT = ("pids.max", "memory.max", "memory.high", "cpu.max", "cpu.weight")
ROUNDS = 15
UNDER_LOAD = 200 if LARGE else 104


def values(ve: Ve) -> tuple[str, ...]:
    """What the two sets speak of."""
    return tuple(ve.text(file) for file in KEPT)


def test_two_adjusters_of_two_ves_never_mix(ve: Ve, other: Ve, state: State) -> None:
    def looping(wanted: dict[str, Any]) -> Callable[[object], None]:
        def main(_: object) -> None:
            for number in range(ROUNDS):
                order = (ve, other) if number % 2 else (other, ve)
                set_all(ve.tree, dict.fromkeys(order, wanted))

        return main

    expected = []
    for wanted in (ONE, TWO):
        set_all(ve.tree, {ve: wanted, other: wanted})
        expected.append(values(ve))
    workers = [Worker(None, looping(wanted)) for wanted in (ONE, TWO)]
    assert [worker.end(60) for worker in workers] == [0, 0]
    assert values(ve) in expected
    assert values(other) == values(ve)
    assert no_journal()
    records = list(history(state))
    assert len(records) == len({record.id for record in records}) > 2


def test_one_who_waits_too_long_is_told_who_is_busy(ve: Ve) -> None:
    def main(sock: Any) -> None:
        def wait() -> None:
            sock.send(b"half way")
            sock.recv(1)

        ve.set(ONE, Recorder(2, wait))

    holder = Worker(None, main)
    assert holder.answer() == "half way"
    with pytest.raises(BusyError, match=f"^({ve.path}|/): another adjustment holds it") as caught:
        ve.set({"pids.max": 5}, wait=0.1)
    assert "\n" not in str(caught.value)
    holder.tell("go on")
    assert holder.end() == 0
    assert ve.text("pids.max") == "111"


def test_other_ves_need_not_wait(ve: Ve, other: Ve) -> None:
    ve.set(TWO)

    def main(sock: Any) -> None:
        def wait() -> None:
            sock.send(b"half way")
            sock.recv(1)

        ve.set(ONE, Recorder(2, wait))

    holder = Worker(None, main)
    assert holder.answer() == "half way"
    other.set({"pids.max": 5}, wait=0.1)
    assert other.text("pids.max") == "5"
    holder.tell("go on")
    assert holder.end() == 0


def test_many_adjustments_under_load_lose_nothing(make_ve: Callable[[str], Ve], disk: Path, state: State) -> None:
    ves = [make_ve(f"load{number}") for number in range(4)]
    path = disk / f"rctl-load-{os.getpid()}"
    small = {"memory.max": "80M", "memory.high": "70M", "pids.max": 60, "cpu.max": 0.4, "cpu.weight": 50}
    large = {"memory.max": "160M", "memory.high": "max", "pids.max": 120, "cpu.max": 1.2, "cpu.weight": 500}
    try:
        workers = [burner(ves[0].dir), filler(ves[1].dir, 40), syncer(ves[2].dir, path), sleeper(ves[3].dir)]
        for number in range(UNDER_LOAD):
            wanted = (small, large)[number // 4 % 2]
            if number % 4 == 3:
                set_all(ves[0].tree, dict.fromkeys(ves, wanted | {"pids.max": 100 + number}), command=str(number))
            else:
                ves[number % 4].set(wanted | {"pids.max": 100 + number}, command=str(number))
            workers[1].tell(str(30 + 10 * (number % 3)))
        assert all(worker.alive for worker in workers)
    finally:
        path.unlink(missing_ok=True)
    assert [ve.count("memory.events", "oom_kill") for ve in ves] == [0] * 4
    final = [(ve.text("pids.max"), ve.text("cpu.max"), ve.number("memory.max")) for ve in ves]
    assert final == [(str(99 + UNDER_LOAD), "120000 100000", 160 << 20)] * 4
    assert [record.command for record in history(state)] == [str(number) for number in range(UNDER_LOAD)]
    until(no_journal, "no journal")


def test_those_who_make_the_same_ve_at_once_get_one_ve_and_all_their_limits(tree: Tree, state: State) -> None:
    def making(number: int) -> Callable[[object], None]:
        def main(_: object) -> None:
            for turn in range(5):
                limits = decode(nest({"pids.max": 100 + number}), this_host())
                site = Site(tree, this_host(), default_state())
                bare.apply(site, {f"same{turn}": limits}, Options(command=str(number)))

        return main

    workers = [Worker(None, making(number)) for number in range(4)]
    assert [worker.end(60) for worker in workers] == [0] * 4
    assert tree.names() == [f"same{turn}" for turn in range(5)]
    records = [record for record in history(state) if any(isinstance(step, Make) for step in record.steps)]
    assert len(records) == 5
    last = {f"same{turn}": Ve(tree, f"same{turn}").text("pids.max") for turn in range(5)}
    for name, text in last.items():
        commands = [r.command for r in history(state) if any(step.path.endswith(name) for step in r.steps)]
        assert text == str(100 + int(commands[-1]))
    assert no_journal()
