"""Runs a command inside a VE: become it, wait for it, or leave it running."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import NoReturn

from ..adjust.fork import shared
from ..adjust.lifecycle.processes import became
from ..adjust.records.journal import Journal
from ..adjust.site import Site
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.files import put_file_limit_back
from ..errors import RctlError, UsageError
from ..signals import STOPS
from .attach import enter, home

_COMMITTED = "\0"
"""The child's last word before it becomes the program; after it only the reason of a failure can come."""


def find(command: Sequence[str]) -> str:
    """The program's path, found before anything is made. Raises UsageError."""
    name = command[0]
    if program := shutil.which(name):
        return program
    if "/" not in name:
        raise UsageError(f"{name or repr('')}: no such program in PATH. Give its path")
    try:
        kind = os.stat(name).st_mode
    except OSError as error:
        raise UsageError(f"{name}: cannot be run: {(error.strerror or '').lower()}. Give a program's path") from None
    if stat.S_ISDIR(kind):
        raise UsageError(f"{name}: is a directory. Give a program's path")
    raise UsageError(f"{name}: may not be executed. Give a program's path, or make it executable: chmod +x")


class Command:
    """A command that the engine starts, as the last step of its transaction. Pass ``start`` as ``Around.start``.

    ``beside``: run in a child, whose process id is then ``pid``; otherwise the calling process becomes the command.
    ``detach``: the child leaves the terminal. Notes for people go to ``site.tell`` first. ``ino``: the VE's inode,
    after the start. Call ``hear`` at the end.
    """

    def __init__(self, site: Site, program: str, words: Sequence[str], *, beside: bool, detach: bool) -> None:
        self.site, self.program, self.words, self.beside, self.detach = site, program, words, beside, detach
        self.pid = self.ino = 0
        self._mask: set[int | signal.Signals] | None = None

    def start(self, ve: Cgroup, journal: Journal, commit: Callable[[], None], notes: Sequence[str]) -> None:
        """Start it. Raises RctlError if it cannot be started; then no process of it is left in the VE."""
        for note in notes:
            self.site.tell(note)
        self.ino = ve.ino

        def ready() -> None:
            commit()
            self._told(journal)

        if self.beside:
            self._fork(ve, journal, commit)
        else:
            with ExitStack() as stack:
                before = home(self.site.tree)
                if before:
                    stack.enter_context(before)
                try:
                    self._enter(ve, ready)
                except BaseException:
                    with suppress(RctlError):  # the first error counts
                        if before:
                            enter(before)
                    raise

    def wait(self) -> int:
        """The exit status of a command beside; 128 plus the signal's number if a signal ended it."""
        return _wait(self.pid)

    def hear(self) -> None:
        """Unblock signals. They are blocked from the start of a command beside until everything else is settled."""
        mask, self._mask = self._mask, None
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _told(self, journal: Journal) -> None:
        for note in journal.hand_over():
            self.site.tell(note)

    def _enter(self, ve: Cgroup, commit: Callable[[], None]) -> None:
        enter(ve)
        commit()
        _become(self.program, self.words)

    def _fork(self, ve: Cgroup, journal: Journal, commit: Callable[[], None]) -> None:
        """Fork. The child reports a failed start through a pipe; a successful start closes the pipe."""
        trouble, report = os.pipe()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a caller may ignore it; then no end of a child is reported
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPS, signal.SIGCHLD})
        started = False
        try:
            with shared():
                self.pid = os.fork()
                if self.pid == 0:
                    self._child(ve, commit, report)
            os.close(report)
            with open(trouble, "rb") as told:
                committed, _, text = told.read().decode("utf-8", "surrogateescape").rpartition(_COMMITTED)
            if committed:
                self._told(journal)
            if text or not committed or not became(self.pid):
                os.waitpid(self.pid, 0)
                status, _, text = (text or f"1 {self.program}: was killed before it had started").partition(" ")
                raise UsageError(text) if int(status) == UsageError.exit_status else RctlError(text)
            started = True
        finally:
            if not started:
                self.hear()

    def _child(self, ve: Cgroup, commit: Callable[[], None], report: int) -> NoReturn:
        def ready() -> None:
            commit()
            os.write(report, b"." + _COMMITTED.encode())

        try:
            if self.detach:
                _let_go()
            for number in STOPS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
                    signal.signal(number, signal.SIG_DFL)
            self.hear()
            self._enter(ve, ready)
        except RctlError as error:
            os.write(report, f"{error.exit_status} {error}".encode("utf-8", "surrogateescape"))
        finally:
            os._exit(1)


def _become(program: str, command: Sequence[str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and the program would inherit that
        signal.signal(number, signal.SIG_DFL)
    put_file_limit_back()
    try:
        os.execv(program, list(command))  # noqa: S606 (the user's own command, without a shell)
    except OSError as error:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        raise UsageError(f"{program}: cannot be run: {error.strerror}. Give a program, or a script with #!") from None


def _let_go() -> None:
    """Close what the caller may wait for: of its streams, keep only those that are files."""
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
    """Wait for the command. Returns its exit status; 128 plus the signal's number if a signal ended it.

    A signal that a process sent is passed on to the command; the terminal sends its own signals to both.
    """
    while True:
        got = signal.sigwaitinfo({*STOPS, signal.SIGCHLD})
        if got.si_signo != signal.SIGCHLD:
            if got.si_code <= 0:  # SI_USER and similar; signals of the terminal are SI_KERNEL
                os.kill(pid, got.si_signo)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
