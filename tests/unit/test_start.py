"""Ctrl-C in the first moments of a command: it ends without a traceback from the first line that is rctl's own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
COMMANDS = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["scripts"]
POINTS = 12
AT_IMPORT = """
import os, sys
left = int(sys.argv.pop(1))

def strike(event, arguments):
    global left
    if event == "import":
        left -= 1
        if not left:
            os.kill(os.getpid(), 2)

sys.addaudithook(strike)
"""
"""Sends SIGINT at the import whose number comes first among the words (https://docs.python.org/3/library/audit_events.html)."""


AT_SET_NAME = """
import functools, os, signal, _signal

name_set = functools.cached_property.__set_name__

def strike(self, owner, name):
    if signal.getsignal(2) not in (signal.SIG_DFL, signal.default_int_handler):
        functools.cached_property.__set_name__ = name_set
        os.kill(os.getpid(), 2)
        for _ in range(100):  # Python answers a signal between two of its own instructions
            pass
    name_set(self, owner, name)

functools.cached_property.__set_name__ = strike
"""
"""Sends SIGINT within a class that is made, once rctl answers the signal."""


def script(command: str) -> str:
    """What pip makes of a command's entry point."""
    module, _, function = COMMANDS[command].partition(":")
    return f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"


def heed() -> None:
    """Do not ignore SIGINT, as whatever a shell starts in the background does, these tests among it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted_at(number: int, command: str) -> tuple[int, str]:
    """How the command ends, and what it says, when SIGINT comes at its import with this number."""
    words = [sys.executable, "-c", AT_IMPORT + script(command), str(number), "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TOP, timeout=60, preexec_fn=heed)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_from_its_first_imports_on_ctrl_c_ends_a_command_without_a_traceback(command: str) -> None:
    before = {"rctl": 3, "rctl-exporter": 5}[command]  # the packages and modules up to rctl.start
    number, silent = before + 1, 0
    while (end := interrupted_at(number, command))[0] != 0:
        assert end in [
            (-signal.SIGINT, ""),
            (130, "rctl: interrupted\n"),
        ], number
        silent += end[0] == -signal.SIGINT
        number += 1 if number < 20 else 17
    assert silent > 3
    assert number > 50


def test_ctrl_c_at_any_moment_of_the_start_shows_no_line_of_rctl(tmp_path: Path) -> None:
    """Python's own start alone may show a traceback, up to the import of rctl.start."""
    words = [sys.executable, "-c", script("rctl"), "--version"]
    begin = time.monotonic()
    subprocess.run(words, check=True, capture_output=True, cwd=TOP)
    whole, moments = time.monotonic() - begin, random.Random(1)
    for _ in range(POINTS):
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOP, preexec_fn=heed
        )
        time.sleep(moments.uniform(0, whole))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        own = [line for line in said.splitlines() if f"{os.sep}rctl{os.sep}" in line]
        assert all("rctl/start.py" in line or "rctl/__init__.py" in line for line in own), said


def test_ctrl_c_that_python_turns_into_another_error_is_told_as_ctrl_c() -> None:
    """Python 3.11 makes a RuntimeError of what is raised within ``__set_name__``, for example during an import."""
    words = [sys.executable, "-c", AT_SET_NAME + script("rctl"), "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TOP, timeout=60, preexec_fn=heed)
    assert done.returncode == 130
    assert done.stderr == "rctl: interrupted\n"


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    """As a shell starts a command in the background, and nohup(1)."""
    words = [sys.executable, "-c", AT_IMPORT + script("rctl"), "12", "--version"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=TOP,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rctl ")
