"""Run a command inside a VE: become it, wait for it, or leave it behind."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence

from ..cgroupfs.cgroup import Cgroup
from ..errors import UsageError
from .bare import enter

NOT_STARTED = 126


def find(command: Sequence[str]) -> str:
    """The program's path, looked up before anything is made. Raises UsageError."""
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(f"{command[0] or repr('')}: no such program in PATH. Give its path")
    return program


def run(ve: Cgroup, program: str, command: Sequence[str], *, detach: bool, wait: bool) -> int:
    """Run it in the VE. Returns the process id (``detach``), the exit status (``wait``), or with neither not at all."""
    if not detach and not wait:
        enter(ve)
        _become(program, command)
    pid = os.fork()
    if pid == 0:
        try:
            enter(ve)
            if detach:
                _let_go()
            _become(program, command)
        finally:
            os._exit(NOT_STARTED)
    return pid if detach else _wait(pid)


def _become(program: str, command: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program, list(command))  # noqa: S606 (the user's own command, without a shell)
    except OSError as error:
        raise UsageError(f"{program}: cannot be run: {error.strerror}") from None


def _let_go() -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        if fd == 0 or os.isatty(fd):
            os.dup2(null, fd)


def _wait(pid: int) -> int:
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256
        except KeyboardInterrupt:
            continue  # the command has had the same signal; its end is ours
