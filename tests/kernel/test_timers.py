"""Timed adjustments on a real kernel: a process of rctl's own waits, whatever happens to the one that was asked."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.site import Site
from rctl.limits import decode, nest
from tests.kernel.helpers import Ve
from tests.kernel.shell import rctl
from tests.kernel.sleepers import end_sleepers, sleepers
from tests.kernel.workload import until


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    assert not sleepers()
    yield
    end_sleepers()


def done(*words: str) -> str:
    found = rctl(*words)
    assert found.status == 0, found
    return found.out


def over(moment: float) -> None:
    """Wait for a moment of the wall clock."""
    until(lambda: time.time() > moment, "the moment", moment - time.time() + 20)


def back(ve: Ve, file: str, value: str, what: str) -> None:
    until(lambda: ve.text(file) == value, what, 60)


def test_the_old_value_comes_back_and_whoever_waited_ends(ve: Ve, other: Ve) -> None:
    done("set", "web1", "pids.max=5")
    done("set", "web1", "web2", "pids.max=50", "--for", "3s")
    assert (ve.text("pids.max"), other.text("pids.max")) == ("50", "50")
    back(ve, "pids.max", "5", "the old value of web1")
    back(other, "pids.max", "max", "the old value of web2")
    until(lambda: not sleepers(), "the end of the sleeper", 30)
    assert done("timers", "--json") == "[]\n"


def test_one_process_waits_for_all_timers(ve: Ve, other: Ve) -> None:
    """Given a sleeper that waits for an hour, when a shorter timer is made, then it is woken for that one."""
    done("set", "web1", "pids.max=50", "--for", "1h")
    until(lambda: (Path(os.environ["RCTL_STATE"]) / "run/waker").exists(), "a sleeper that listens", 120)
    first = sleepers()
    done("set", "web2", "pids.max=60", "--for", "2s")
    back(other, "pids.max", "max", "the old value")
    until(lambda: sleepers() == first, "the same sleeper alone", 30)
    assert ve.text("pids.max") == "50"
    done("undo")
    assert ve.unset("pids.max")


def test_a_sleeper_that_was_killed_is_replaced_by_the_next(ve: Ve, other: Ve) -> None:
    """Given a kill -9 of the sleeper, then rctl recover ends what is due, and the next timer has a sleeper again."""
    done("set", "web1", "pids.max=50", "--for", "15s")  # set returns when the sleeper is there, which takes a while
    timed = time.time()
    until(lambda: len(sleepers()) == 1, "a sleeper", 120)
    os.kill(sleepers()[0], signal.SIGKILL)
    until(lambda: not sleepers(), "its end")
    if ve.text("pids.max") == "50":
        over(timed + 15)
        assert "its time was over, and it ended" in done("recover")
    assert ve.text("pids.max") == "max"
    done("set", "web2", "pids.max=60", "--for", "1s")
    back(other, "pids.max", "max", "the old value")


def test_memory_goes_back_without_a_kill(ve: Ve, site: Site) -> None:
    """Given 60 MiB in use, when a limit goes back to 32 MiB, then memory is freed, and nobody is killed."""
    from tests.kernel.workload import filler

    done("set", "web1", "memory.max=32M")
    how = Options(command="test", until=time.time() + 1)
    adjust(site, {"web1": decode(nest({"memory.max": "128M"}), site.host)}, how)
    worker = filler(ve.dir, 60)
    over(how.until or 0)
    done("recover")
    assert ve.number("memory.max") == 32 << 20
    assert ve.number("memory.current") <= 32 << 20
    assert (ve.count("memory.events", "oom_kill"), worker.alive) == (0, True)


def test_after_a_boot_a_timer_that_is_over_leaves_no_wish(ve: Ve, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    from rctl.host import Host

    done("set", "web1", "pids.max=5")
    how = Options(command="test", until=time.time() + 1)
    adjust(site, {"web1": decode(nest({"pids.max": "50"}), site.host)}, how)
    ve.dir.rmdir()
    monkeypatch.setattr(Host, "boot_id", "another-boot")
    over(how.until or 0)
    done("restore")
    assert ve.text("pids.max") == "5"
    assert json.loads(done("timers", "--json")) == []


def test_before_its_end_a_timed_limit_is_restored_and_ends_on_time(
    ve: Ve, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    from rctl.host import Host

    how = Options(command="test", until=time.time() + 30)
    adjust(site, {"web1": decode(nest({"pids.max": "50"}), site.host)}, how)
    ve.dir.rmdir()
    monkeypatch.setattr(Host, "boot_id", "another-boot")
    done("restore")
    assert ve.text("pids.max") == "50"
    (timer,) = json.loads(done("timers", "--json"))
    done("timers", "extend", timer["id"], "1h")
    monkeypatch.setattr(time, "time", lambda real=time.time: real() + 3700)
    done("recover")
    assert ve.text("pids.max") == "max"


def test_what_is_in_the_state_folder_is_the_users_alone(ve: Ve) -> None:
    done("set", "web1", "pids.max=50", "--for", "1h")
    run = Path(os.environ["RCTL_STATE"]) / "run"
    until(lambda: (run / "waker").exists(), "the socket", 120)
    assert [path.name for path in run.iterdir() if path.is_file() and path.stat().st_mode & 0o77] == []
    assert run.stat().st_mode & 0o77 == 0
