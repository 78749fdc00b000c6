"""Processes and threads: the limit is felt as EAGAIN."""

import errno

from tests.kernel.helpers import Ve
from tests.kernel.workload import forker


def test_forks_beyond_max_fail_with_eagain(ve: Ve) -> None:
    ve.set({"pids.max": 5})
    assert ve.text("pids.max") == "5"
    assert forker(ve.dir).ask("10") == f"4 {errno.EAGAIN}"
    assert ve.number("pids.current") == 5
    assert ve.count("pids.events", "max") > 0


def test_max_can_be_raised_while_the_ve_is_full(ve: Ve) -> None:
    ve.set({"pids.max": 3})
    worker = forker(ve.dir)
    assert worker.ask("10") == f"2 {errno.EAGAIN}"
    ve.set({"pids.max": 6})
    assert worker.ask("10") == f"3 {errno.EAGAIN}"
    ve.set({"pids.max": "max"})
    assert worker.ask("10") == "10 0"


def test_max_below_what_runs_ends_nobody(ve: Ve) -> None:
    ve.set({"pids.max": 20})
    worker = forker(ve.dir)
    assert worker.ask("5") == "5 0"
    ve.set({"pids.max": 2})
    assert ve.number("pids.current") == 6
    assert worker.ask("1") == f"0 {errno.EAGAIN}"


def test_zero_is_a_value(ve: Ve) -> None:
    ve.set({"pids.max": 0})
    assert ve.text("pids.max") == "0"
