"""The sessions on a page of the documents, run as they stand.

A block of ```` ```console ```` has commands after ``# `` (root) or ``$ `` (a user without rights), and what they print;
``...`` stands for any text. Ids and times differ. A block of TOML whose first line is a file's name is that file.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.kernel.shell import NOBODY, rctl

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_VARIES = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{3}-[0-9a-f]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_FILE = re.compile(r"# (\S+\.toml)\n")


class Step(NamedTuple):
    """One command: whether a user without rights types it, and what the page shows of its output."""

    user: bool
    command: str
    shown: str


def files(page: str) -> dict[str, str]:
    """The files that the page shows, by name."""
    return {match[1]: text for kind, text in _BLOCK.findall(page) if kind == "toml" and (match := _FILE.match(text))}


def steps(page: str) -> Iterator[Step]:
    """The commands of the page, in order."""
    for kind, text in _BLOCK.findall(page):
        if kind == "console":
            for part in re.split(r"^(?=[#$] )", text, flags=re.MULTILINE)[1:]:
                command, _, shown = part[2:].partition("\n")
                yield Step(part[0] == "$", command, shown)


class Console:
    """Runs commands in a folder. ``env``: of the user without rights."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder, self._env = folder, env

    def run(self, step: Step) -> str:
        """What the command prints."""
        words = shlex.split(step.command)
        if step.user and words[0] == "export":
            self._env.update([words[1].split("=", 1)])
            return ""
        if words[0] == "rctl" and words[-3:-1] == ["|", "grep"]:  # in this process: to start another costs seconds
            printed = self.run(step._replace(command=shlex.join(words[:-3])))
            return "".join(line for line in printed.splitlines(keepends=True) if re.search(words[-1], line))
        if words[0] == "rctl":
            here = os.getcwd()
            os.chdir(self._folder)
            try:
                done = rctl(*words[1:], user=NOBODY if step.user else None, env=self._env if step.user else None)
            finally:
                os.chdir(here)
            return done.out + done.err
        assert not step.user
        return subprocess.run(
            ["sh", "-c", step.command], cwd=self._folder, text=True, check=True, capture_output=True
        ).stdout


def matches(step: Step, printed: str) -> bool:
    """Whether a command printed what the page shows, but for ids, times and the process that it started."""
    varies = _VARIES if not step.command.startswith("rctl run") else re.compile(r"^[0-9]+$", re.MULTILINE)
    pattern = ".*".join(map(re.escape, varies.sub("0", step.shown).split("...")))
    return re.fullmatch(pattern, varies.sub("0", printed), re.DOTALL) is not None
