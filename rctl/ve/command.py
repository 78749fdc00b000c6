"""Run a command inside a VE: become it, wait for it, or leave it behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import NoReturn

from ..cgroupfs.cgroup import Cgroup
from ..errors import NotAvailableError, NotFoundError, RctlError, UsageError
from .bare import enter, home

_STOPS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def find(command: Sequence[str]) -> str:
    """The program's path, looked up before anything is made. Raises UsageError."""
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(f"{command[0] or repr('')}: no such program in PATH. Give its path")
    return program


def run(ve: Cgroup, program: str, command: Sequence[str], *, detach: bool, wait: bool) -> int:
    """Run it in the VE. Returns the process id (``detach``), the exit status (``wait``), or with neither not at all.

    Raises RctlError when it cannot be started; no process of it is left in the VE then.
    """
    if detach or wait:
        return _beside(ve, program, command, detach=detach)
    with ExitStack() as stack:
        before: Cgroup | None = None
        with suppress(NotAvailableError, NotFoundError):  # outside the namespace: then there is no way back
            before = stack.enter_context(home("self"))
        enter(ve)
        try:
            _become(program, command)
        except UsageError:
            with suppress(RctlError):  # what went wrong first is what counts
                if before:
                    enter(before)
            raise


def _beside(ve: Cgroup, program: str, command: Sequence[str], *, detach: bool) -> int:
    """In a child. What keeps it from starting comes back through a pipe that a program that starts closes."""
    trouble, report = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOPS, signal.SIGCHLD})
    try:
        pid = os.fork()
        if pid == 0:
            _child(ve, program, command, report, before, detach=detach)
        os.close(report)
        with open(trouble, "rb") as told:
            status, _, text = told.read().decode("utf-8", "surrogateescape").partition(" ")
        if text:
            os.waitpid(pid, 0)
            raise UsageError(text) if int(status) == UsageError.exit_status else RctlError(text)
        return pid if detach else _wait(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _child(
    ve: Cgroup, program: str, command: Sequence[str], report: int, mask: set[int | signal.Signals], *, detach: bool
) -> NoReturn:
    try:
        enter(ve)
        if detach:
            _let_go()
        for number in _STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _become(program, command)
    except RctlError as error:
        os.write(report, f"{error.exit_status} {error}".encode("utf-8", "surrogateescape"))
    finally:
        os._exit(1)


def _become(program: str, command: Sequence[str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program, list(command))  # noqa: S606 (the user's own command, without a shell)
    except OSError as error:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        raise UsageError(f"{program}: cannot be run: {error.strerror}. Give a program, or a script with #!") from None


def _let_go() -> None:
    """Nothing of the caller's stays open that it may wait for: of its streams, only files are kept."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        try:
            kept = stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:  # closed
            kept = False
        if not kept:
            os.dup2(null, fd)


def _wait(pid: int) -> int:
    """The command's exit status, 128 and the signal's number when one ended it.

    A signal that a process sent goes on to the command; the terminal sends its own to both.
    """
    while True:
        got = signal.sigwaitinfo({*_STOPS, signal.SIGCHLD})
        if got.si_signo != signal.SIGCHLD:
            if got.si_code <= 0:  # SI_USER and its kin; those of the terminal are SI_KERNEL
                os.kill(pid, got.si_signo)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
