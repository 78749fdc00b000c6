"""Ramps on a real kernel: the values move in whole steps, stop for pressure, and go back as one."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.kernel.helpers import Ve, no_journal
from tests.kernel.shell import rctl
from tests.kernel.test_rolling import started
from tests.kernel.workload import MIB, burner, filler, until


def test_memory_is_taken_away_in_steps_and_nothing_is_killed(ve: Ve) -> None:
    worker = filler(ve.dir, 60)
    assert rctl("set", ve.name, "memory.max=100M").status == 0
    seen: set[int] = set()
    with started("set", ve.name, "memory.max=40M", "--over", "3s", "--steps", "4") as process:
        while process.poll() is None:
            seen.add(ve.number("memory.max"))
            time.sleep(0.01)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert seen <= {100 * MIB, 85 * MIB, 70 * MIB, 55 * MIB, 40 * MIB}
    assert len(seen) >= 4
    assert ve.number("memory.max") == 40 * MIB
    assert ve.count("memory.events", "oom_kill") == 0
    assert worker.alive
    assert len(out.splitlines()) == 5
    assert rctl("undo").status == 0
    assert ve.number("memory.max") == 100 * MIB


def test_from_max_it_begins_at_the_use(ve: Ve) -> None:
    assert ve.able("memory.max")
    filler(ve.dir, 60)
    out = rctl("set", ve.name, "memory.max=20M", "--over", "1s", "--steps", "3", "--dry-run").out
    first = float(out.splitlines()[0].split()[-1].removesuffix("M")) * MIB
    assert abs(first - (20 * MIB + 2 * (ve.number("memory.current") - 20 * MIB) // 3)) < MIB
    assert ve.unset("memory.max")
    assert rctl("set", ve.name, "memory.max=20M", "--over", "1s", "--steps", "3").status == 0
    assert ve.number("memory.max") == 20 * MIB


def test_cpu_time_is_taken_from_two_ves_together(ve: Ve, other: Ve) -> None:
    assert rctl("set", ve.name, other.name, "cpu.max=2").status == 0
    done = rctl("set", ve.name, other.name, "cpu.max=0.5", "--over", "600ms", "--steps", "3")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].endswith(f"{ve.name} cpu.max 150000 100000, {other.name} cpu.max 150000 100000")
    assert ve.text("cpu.max") == other.text("cpu.max") == "50000 100000"


def test_pressure_stops_it_and_puts_all_back(ve: Ve) -> None:
    """The first step holds a program back that wants a CPU; the second one is never made."""
    assert rctl("set", ve.name, "cpu.max=1").status == 0
    burner(ve.dir)
    begin = time.monotonic()
    done = rctl("set", ve.name, "cpu.max=0.05", "--over", "10min", "--steps", "2", "--stop-at-pressure", "cpu=30%")
    assert done.status == 1
    assert time.monotonic() - begin < 120
    assert f"{ve.name}: its cpu pressure rose to" in done.err
    assert "the ramp stopped, and was put back" in done.err
    assert ve.text("cpu.max") == "100000 100000"
    assert no_journal()


def test_without_pressure_figures_it_is_refused(ve: Ve) -> None:
    if not (ve.dir / "cgroup.pressure").exists():
        pytest.skip("this kernel has no cgroup.pressure")
    (ve.dir / "cgroup.pressure").write_text("0")
    done = rctl("set", ve.name, "cpu.max=0.5", "--over", "3s", "--stop-at-pressure", "30%")
    assert (done.status, ve.unset("cpu.max")) == (1, True)
    assert "has no cpu.pressure, so --stop-at-pressure cannot watch it" in done.err


def test_ctrl_c_puts_all_back(ve: Ve) -> None:
    assert rctl("set", ve.name, "pids.max=100").status == 0
    with started("set", ve.name, "pids.max=20", "--over", "1h", "--steps", "2") as process:
        until(lambda: ve.text("pids.max") == "60", "the first step", 60)
        until(no_journal, "its end", 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, ve.text("pids.max")) == (130, "100")
    assert "the ramp stopped, and was put back" in err


def test_kill_9_leaves_a_whole_step_and_undo_takes_back_the_ramp(ve: Ve) -> None:
    assert rctl("set", ve.name, "pids.max=100").status == 0
    with started("set", ve.name, "pids.max=20", "--over", "1h", "--steps", "2") as process:
        until(lambda: ve.text("pids.max") == "60", "the first step", 60)
        until(no_journal, "its end", 60)
        process.kill()
        process.wait()
    assert ve.text("pids.max") == "60"
    assert rctl("undo").status == 0
    assert ve.text("pids.max") == "100"
    assert not os.listdir(Path(os.environ["RCTL_STATE"]) / "run" / "journal")
