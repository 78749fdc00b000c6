"""Rolling changes on a real kernel: whole batches whatever happens, a thousand VEs, and back again as one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.ve import bare
from tests.kernel.helpers import LARGE, Ve, no_journal
from tests.kernel.shell import rctl
from tests.kernel.workload import MIB, filler, until

COUNT = 1000 if LARGE else 60


@pytest.fixture
def many(tree: Tree) -> list[Ve]:
    names = [f"r{number:04}" for number in range(COUNT)]
    for name in names:
        bare.make(tree, name).close()
    return [Ve(tree, name) for name in names]


def limits(ves: list[Ve]) -> list[str]:
    return [ve.text("pids.max") if ve.has("pids.max") else "max" for ve in ves]


def the_id(out: str) -> str:
    return out.split(":", 1)[0]


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """rctl as a process of its own, which is ended with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "rctl", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_all_ves_in_one_process_and_back_as_one_change(many: list[Ve]) -> None:
    begin = time.monotonic()
    done = rctl("set", "r*", "pids.max=77", "memory.max=64M", "--batch", "10%")
    rolled = time.monotonic() - begin
    assert (done.status, done.err) == (0, "")
    assert limits(many) == ["77"] * COUNT
    assert len(done.out.splitlines()) == 12
    (change,) = json.loads(rctl("history", "--json", "--last", "1").out)
    assert [part["number"] for part in change["parts"]] == list(range(1, 11))
    begin = time.monotonic()
    assert rctl("undo", the_id(done.out), "--quiet").status == 0
    print(f"{COUNT} VEs: rolled in {rolled:.2f} s, taken back in {time.monotonic() - begin:.2f} s")
    assert limits(many) == ["max"] * COUNT
    assert no_journal()


def test_a_ve_that_cannot_shrink_is_one_failure_and_its_batch_is_done_without_it(many: list[Ve]) -> None:
    stubborn = many[3]
    assert rctl("set", stubborn.name, "memory.swap.max=0").status == 0
    worker = filler(stubborn.dir, 30)
    words = ["set", "r*", "memory.max=16M", "--batch", "20%", "--deadline", "300ms", "--abort-after", "2"]
    done = rctl(*words)
    assert done.status == 4
    assert [ve for ve in many if ve.text("memory.max") == "max"] == [stubborn]
    assert f"{COUNT - 1} of {COUNT} VEs are done and stay, 1 failed" in done.out
    assert stubborn.name in done.err
    assert worker.hold(30), "nothing was killed"
    assert worker.hold(1)
    again = rctl("set", "--retry", the_id(done.out))
    assert (again.status, stubborn.number("memory.max")) == (0, 16 * MIB)


def test_ctrl_c_in_a_check_leaves_whole_batches_and_retry_ends_them(many: list[Ve], tmp_path: Path) -> None:
    flag = tmp_path / "wait"
    flag.touch()
    command = f"sh -c 'while test $RCTL_BATCH = 2 && test -e {flag}; do sleep 0.05; done'"
    with started("set", "r*", "pids.max=77", "--batch", "25%", "--check", command) as process:
        half = COUNT // 2
        until(lambda: limits(many).count("77") == half, "the second batch", 60)
        assert rctl("set", "--retry", json_id(process)).status == 1, "it still runs"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert limits(many) == ["77"] * half + ["max"] * half
    assert f"{half} of {COUNT} VEs are changed and stay; go on: rctl set --retry" in err
    flag.unlink()
    done = rctl("set", "--retry", unfinished())
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].endswith(f"{COUNT} VEs in 3 batches"), "the second one was not checked yet"
    assert limits(many) == ["77"] * COUNT
    assert rctl("undo").status == 0
    assert limits(many) == ["max"] * COUNT
    assert not out.startswith("Traceback")


def json_id(process: subprocess.Popen[str]) -> str:
    assert process.poll() is None
    return unfinished()


def unfinished() -> str:
    """The id of the only rolling change that did not come to its end."""
    (name,) = os.listdir(Path(os.environ["RCTL_STATE"]) / "run" / "changes")
    return name


def test_kill_9_in_a_pause_leaves_whole_batches_and_retry_goes_on(many: list[Ve]) -> None:
    with started("set", "r*", "pids.max=77", "--batch", "50%", "--pause", "1h") as process:
        until(lambda: limits(many).count("77") == COUNT // 2, "the first batch", 60)
        until(lambda: no_journal() and len(recorded()) > 1, "the pause", 60)
        process.kill()
        process.wait()
    assert limits(many).count("77") == COUNT // 2
    change = unfinished()
    assert rctl("undo", change).status == 0
    assert limits(many) == ["max"] * COUNT
    log = Path(os.environ["RCTL_STATE"]) / "run" / "changes" / change
    log.write_text(log.read_text().replace('"pause":3600.0', '"pause":0.0'))
    assert rctl("set", "--retry", change).status == 0
    assert limits(many) == ["77"] * COUNT
    assert not log.exists()


def recorded() -> list[str]:
    log = Path(os.environ["RCTL_STATE"]) / "run" / "changes" / unfinished()
    return log.read_text().splitlines()


def test_sigterm_with_on_abort_undo_puts_back_what_was_done(many: list[Ve]) -> None:
    with started("set", "r*", "pids.max=77", "--batch", "50%", "--pause", "1h", "--on-abort", "undo") as process:
        until(lambda: limits(many).count("77") == COUNT // 2, "the first batch", 60)
        until(lambda: len(recorded()) > 1, "the pause", 60)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, limits(many)) == (143, ["max"] * COUNT)
    assert "was put back" in err
