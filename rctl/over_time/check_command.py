"""The command that checks a VE after its batch (``--check``): no shell, a time limit, several at once."""

from __future__ import annotations

import math
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, NamedTuple

from ..errors import UsageError
from ..escape import shortened

AT_ONCE = 8
"""Most checks that run at the same time."""
_LAST = 4096
"""Bytes at the end of a check's output that are read."""


class _Running(NamedTuple):
    process: subprocess.Popen[bytes]
    ended: int
    until: float
    output: IO[bytes]


class CheckCommand(NamedTuple):
    """A command: its words, and the seconds that it may take for one VE."""

    words: tuple[str, ...]
    seconds: float

    def run(self, environments: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
        """Check VEs. ``environments``: what to add to the environment, by VE.

        Yields each VE when its check has ended, and why it failed; empty if it passed. When the caller stops, commands
        that still run are killed, with what they started.
        """
        waiting = list(environments)
        running: dict[str, _Running] = {}
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    ve = waiting.pop(0)
                    try:
                        running[ve] = self._start(environments[ve])
                    except OSError as error:
                        yield ve, f"{self.words[0]}: {error.strerror}"
                for ve in self._over(running):
                    one = running.pop(ve)
                    yield ve, self._verdict(one)
        finally:
            for one in running.values():
                _kill(one)

    def _start(self, more: Mapping[str, str]) -> _Running:
        output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the verdict)
        try:
            process = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **more},
                start_new_session=True,
            )
        except BaseException:
            output.close()
            raise
        try:
            ended = os.pidfd_open(process.pid)
        except OSError:
            _kill_process(process)
            output.close()
            raise
        return _Running(process, ended, time.monotonic() + self.seconds, output)

    @staticmethod
    def _over(running: Mapping[str, _Running]) -> list[str]:
        """Wait for the end of one of the commands, or of its time; returns the VEs whose check is over."""
        if not running:
            return []
        rest = max(0.0, min(one.until for one in running.values()) - time.monotonic())
        poll = select.poll()  # select() takes no descriptor above 1023
        for one in running.values():
            poll.register(one.ended, select.POLLIN)
        ended = {fd for fd, _ in poll.poll(math.ceil(1000 * rest))}
        now = time.monotonic()
        return [ve for ve, one in running.items() if one.ended in ended or now >= one.until]

    def _verdict(self, one: _Running) -> str:
        """Why a check failed; empty if it passed."""
        status = one.process.poll()
        if status is None:
            _kill(one)
            return f"did not end within {self.seconds:g} s"
        said = _last_line(one.output)
        _close(one)
        if status == 0:
            return ""
        how = f"exit status {status}" if status > 0 else f"killed by {_signal(-status)}"
        return how + (f": {said}" if said else "")


def parse(text: str, seconds: float) -> CheckCommand:
    """The command of ``--check``. Raises UsageError if it has no words, or if there is no such program."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--check: {text!r}: {error}. Quote it as for a shell") from None
    if not words:
        raise UsageError("--check: is empty. Write a command, such as: --check 'curl -fsS http://localhost/health'")
    if shutil.which(words[0]) is None:
        raise UsageError(f"--check: {words[0]}: no such program. It is run without a shell; for one: sh -c '...'")
    return CheckCommand(tuple(words), seconds)


def _kill(one: _Running) -> None:
    """End a command, and close what belongs to it."""
    _kill_process(one.process)
    _close(one)


def _kill_process(process: subprocess.Popen[bytes]) -> None:
    """End a command, and all processes of its session, which it leads."""
    if process.poll() is None:  # until it is waited for, its id is no other's
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _close(one: _Running) -> None:
    os.close(one.ended)
    one.output.close()


def _last_line(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _LAST))
    text = output.read().decode("utf-8", "replace").strip()
    return shortened(text.rpartition("\n")[2])


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
