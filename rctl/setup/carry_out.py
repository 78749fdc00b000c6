"""Reads and changes the host for ``rctl setup``: files below a root folder, and systemctl."""

from __future__ import annotations

import glob
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..errors import RctlError, explained
from .host import HostFacts, runtime
from .plan import Look, RemoveFile, RunCommand, SetupStep, WriteFile

Systemctl = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command; its exit status, and what it says."""


def command(words: Sequence[str]) -> tuple[int, str]:
    """Run a command of systemd's."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": runtime(), "SYSTEMD_PAGER": "", "LC_ALL": "C"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL)
    return done.returncode, (done.stderr or done.stdout).strip()


def look(host: HostFacts, run: Systemctl = command) -> Look:
    """How a plan sees this host."""

    def active(unit: str) -> bool:
        return not host.manager and run(host.systemctl("is-active", unit))[0] == 0

    def enabled(unit: str) -> bool:
        return bool(glob.glob(_place(host, f"{glob.escape(host.folders.units)}/*.wants/{unit}")))

    return Look(lambda path: _text(_place(host, path)), enabled, active)


def written(patterns: Sequence[str], host: HostFacts) -> list[str]:
    """The paths that are there and match one of the patterns."""
    root = host.root.rstrip("/")
    return [path.removeprefix(root) for one in patterns for path in sorted(glob.glob(_place(host, one)))]


def carry_out(steps: Sequence[SetupStep], host: HostFacts, run: Systemctl = command) -> None:
    """Do the steps in their order. Raises RctlError at the first that fails, with what was done before it."""
    for number, step in enumerate(steps):
        if problem := _problem(step, host, run):
            done = f"{number} of {len(steps)} steps are done; run it again" if number else "Nothing is changed"
            raise RctlError(f"{problem}. {done}")


def _problem(step: SetupStep, host: HostFacts, run: Systemctl) -> str:
    """Do one step; why it failed, or nothing."""
    try:
        match step:
            case WriteFile(path, text):
                _write(_place(host, path), text)
            case RemoveFile(path):
                with suppress(FileNotFoundError):
                    os.unlink(_place(host, path))
            case RunCommand(words):
                status, said = run(words)
                if status:
                    return f"{' '.join(words)}: {said.splitlines()[0].rstrip('.') if said else f'status {status}'}"
    except OSError as error:
        return f"{step.words[0] if isinstance(step, RunCommand) else step.path}: {explained(error)}"
    return ""


def _place(host: HostFacts, path: str) -> str:
    return f"{host.root.rstrip('/')}{path}"


def _text(path: str) -> str | None:
    if not os.path.lexists(path):
        return None
    if os.path.islink(path) or not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Write the file whole, or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    half = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(half)  # of a run that was killed
    try:
        with open(half, "x", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.replace(half, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(half)
        raise
