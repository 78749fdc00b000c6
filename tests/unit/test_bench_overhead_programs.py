"""The programs that are measured: each does what it is asked and prints a time; what others print is understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rctl.bench.stage.place import WorkError
from rctl.bench.workloads import ALL, applications, generators
from rctl.bench.workloads.base import PROGRAMS, Builtin, built, found, nanoseconds, rated

VERBS = sorted(work.verb for work in ALL if isinstance(work, Builtin))
NOT_IN_PYTHON = {"futex"}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The built-in program."""
    if not found("cc"):
        pytest.skip("no C compiler (cc) here")
    command, words = built(str(tmp_path_factory.mktemp("work")))
    assert words.startswith("work.c")
    return command[0]


@pytest.mark.parametrize("verb", VERBS)
def test_the_c_program_does_every_workload(work: str, tmp_path: Path, verb: str) -> None:
    done = run(tmp_path, work, verb, "2")
    if verb in ("dread", "dwrite") and "Invalid argument" in done.stderr:
        pytest.skip("no O_DIRECT on this file system")
    assert (done.returncode, done.stderr) == (0, "")
    assert nanoseconds(done.stdout) > 0


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in NOT_IN_PYTHON])
def test_the_python_program_does_them_too(tmp_path: Path, verb: str) -> None:
    done = run(tmp_path, sys.executable, "-I", "-S", str(PROGRAMS / "work.py"), verb, "2")
    if verb in ("dread", "dwrite") and "Invalid argument" in done.stderr:
        pytest.skip("no O_DIRECT on this file system")
    assert (done.returncode, done.stderr) == (0, "")
    assert nanoseconds(done.stdout) > 0


@pytest.mark.parametrize("verb", sorted(NOT_IN_PYTHON))
def test_what_python_cannot_do_says_what_is_missing(tmp_path: Path, verb: str) -> None:
    done = run(tmp_path, sys.executable, "-I", "-S", str(PROGRAMS / "work.py"), verb, "2")
    assert done.returncode == 1
    assert "needs the C program" in done.stderr


def test_a_command_that_fails_fails_the_workload(work: str, tmp_path: Path) -> None:
    assert run(tmp_path, work, "run", "1", "true").returncode == 0
    done = run(tmp_path, work, "run", "1", "false")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("words", [("nonsense", "1"), ("pipe",), ()])
def test_the_c_program_used_wrongly_says_so(work: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, work, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_the_sqlite_program_times_its_transactions(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-I", "-S", str(PROGRAMS / "sqlite.py"), "3")
    assert done.stderr == ""
    assert nanoseconds(done.stdout) > 0


@pytest.mark.parametrize("text", ["", "fast", "0", "-3"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(WorkError):
        nanoseconds(text)


def test_rates_of_load_generators_are_read() -> None:
    wrk = "Running 1s test @ http://127.0.0.1:1/\n  3155 requests in 1.00s, 13.30MB read\nRequests/sec:   3149.02\n"
    assert applications._wrk(wrk, 0) == 3149.02
    assert applications._wrk_done(wrk + wrk.replace("3155", "3160"), 0) == 3160
    redis = '"test","rps","avg_latency_ms"\n"SET","86206.90","0.4"\n'
    assert applications._redis(redis, 0) == 86206.9
    stress = (
        "stress-ng: metrc: [9] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s\n"
        "stress-ng: metrc: [9]                           (secs)    (secs)    (secs)   (real time) (usr+sys time)\n"
        "stress-ng: metrc: [9] switch            20000      0.31      0.02      0.24     64516.13       76923.08\n"
    )
    assert generators._bogo("switch")(stress) == 64516.13
    assert generators._iops("read")('fio: note\n{"jobs": [{"read": {"iops": 1234.5}}]}') == 1234.5
    assert generators._events("    events per second:   987.65\n") == 987.65


@pytest.mark.parametrize("text", ["", "no rate here", "0"])
def test_output_without_a_rate_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(WorkError, match="printed no rate"):
        rated(float, text, "wrk")
