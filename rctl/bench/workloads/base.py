"""The kinds of workloads: the built-in program, a Python script, any command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import which

from ..stage.place import Place, WorkError

PROGRAMS = Path(__file__).parents[1] / "programs"
PYTHON = (sys.executable, "-I", "-S")
MIB = 1 << 20


@dataclass(frozen=True)
class Kit:
    """The means to run workloads. ``work``: the command of the built-in set. ``strict``: it is the C program.

    ``outside``: the place of the clients of servers, on both sides of the comparison.
    """

    work: tuple[str, ...]
    strict: bool
    outside: Place


@dataclass(frozen=True)
class Workload:
    """One piece of work, done a number of times by a program that times itself.

    ``count``: repetitions on the instruction clock. ``what``: one operation in words. ``needs``: programs in PATH.
    ``application``: it counts in the geometric mean of applications. ``coarse``: seconds to which its program rounds
    the time that it prints. ``fixed``: its duration does not depend on the count.
    """

    name: str
    group: str
    what: str
    count: int
    needs: tuple[str, ...] = ()
    application: bool = False
    coarse: float = 0.0
    fixed: bool = False

    def absent(self, kit: Kit) -> str:
        """The reason why it cannot be measured here; empty if it can."""
        return missing(self.needs)

    def prepare(self, place: Place, kit: Kit) -> None:
        """Make its files in the place's folder, once."""

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        """Do it ``count`` times in the place. Returns seconds. Raises WorkError."""
        raise NotImplementedError


@dataclass(frozen=True)
class Builtin(Workload):
    """``verb``: its name in the built-in program."""

    verb: str = ""

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        return nanoseconds(place.run([*kit.work, self.verb, str(count)]))


@dataclass(frozen=True)
class Script(Workload):
    """``script``: a file in ``programs``, run by the Python that runs rctl."""

    script: str = ""

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        return nanoseconds(place.run([*PYTHON, str(PROGRAMS / self.script), str(count)]))


@dataclass(frozen=True)
class Repeated(Workload):
    """``command``: the built-in program starts it ``count`` times and waits for it.

    ``files``: Python code that makes its input in the current directory. It runs in the place, so the memory is charged
    there.
    """

    command: tuple[str, ...] = ()
    files: str = ""

    def prepare(self, place: Place, kit: Kit) -> None:
        if self.files:
            place.run([*PYTHON, "-c", self.files, str(PROGRAMS)])

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        return nanoseconds(place.run([*kit.work, "run", str(count), *self.command]))


@dataclass(frozen=True)
class Generator(Workload):
    """A load generator that times itself. ``command``: from the count. ``rate``: the printed operations per second."""

    command: Callable[[int], Sequence[str]] = lambda count: ()
    rate: Callable[[str], float] = float

    def seconds(self, place: Place, count: int, kit: Kit) -> float:
        return count / rated(self.rate, place.run(self.command(count)), self.name)


def missing(programs: Sequence[str]) -> str:
    """The programs that are not installed, as a text; empty if all are."""
    names = [program for program in programs if not found(program)]
    return f"{', '.join(names)} not installed" if names else ""


def rated(rate: Callable[[str], float], output: str, name: str) -> float:
    """The rate that a generator prints. Raises WorkError if there is none above 0."""
    try:
        value = rate(output)
    except (ValueError, LookupError, TypeError, AttributeError):
        value = 0.0
    if not value > 0:
        raise WorkError(f"{name}: printed no rate: {' '.join(output.split())[-200:]}")
    return value


def nanoseconds(text: str) -> float:
    """Seconds, from the nanoseconds that rctl's own program printed last. Raises WorkError."""
    try:
        value = int(text.split()[-1])
    except (ValueError, IndexError):
        raise WorkError(f"printed no time but {text[-80:]!r}") from None
    if value <= 0:
        raise WorkError("took no time at all: the clock is too coarse")
    return value / 1e9


@cache
def found(program: str) -> str | None:
    """A program's path; also searches the folders for administrators."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return which(program, path=path)


def built(folder: str) -> tuple[tuple[str, ...], str]:
    """The built-in program's command, and its description. It is compiled into ``folder`` if there is a C compiler."""
    compiler = found("cc") or found("gcc") or found("clang")
    target = os.path.join(folder, "work")
    for how in ("-static", "-O2") if compiler else ():
        done = subprocess.run(
            [str(compiler), "-O2", how, "-o", target, str(PROGRAMS / "work.c")], capture_output=True, check=False
        )
        if done.returncode == 0:
            return (
                target,
            ), f"work.c, compiled by {os.path.basename(str(compiler))} -O2{' -static' * (how == '-static')}"
    return (*PYTHON, str(PROGRAMS / "work.py")), "work.py, which is less strict: there is no C compiler (cc) here"
