"""What a scrape costs, beside a bare loop that only reads the same files, and other exporters, in one run.

All subjects are processes of their own that scrape the same VEs by turns. "The bare loop" is C where there is a
compiler: every file stays open, one pread(2) each, nothing is done with the text. "A plain collector" is what one
writes by prometheus_client's manual. Between scrapes a share of the VEs works: what rests costs rctl less, so both are
said.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.files import allow_open_files
from ..cgroupfs.tree import Tree
from ..controllers.core import PROCS, SUBTREE_CONTROL, enable_text
from ..errors import UsageError
from ..ve import bare
from .exporter_figures import BUSY, PROMISED, Cost, Count, Round, figures, series, too_many
from .machine import clock
from .peer_exporters import Served, served
from .place import WorkError, controllers_as_before, own_name, removed, undisturbed
from .result import Figure, Series
from .workloads.base import PROGRAMS, found

Tell = Callable[[str], None]

COUNTS = (1, 100, 1000, 5000)
PLAIN_ROUNDS = 2
MOST_FILES = 1 << 20
MOST_WORKERS = 1000
_OTHER_FILES = 512
_WORK = 1 << 18  # bytes


class Subject:
    """A process that scrapes once for each ``scrape``."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def scrape(self) -> Cost:
        """One scrape. Raises WorkError when the process has ended."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkError(f"{self.name}: ended with {self._process.wait()}")
        return Cost(*map(int, line.split()))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def measure(
    tree: Tree, *, counts: Sequence[int] = COUNTS, profile: str = "full", rounds: int = 8, tell: Tell
) -> tuple[list[Figure], list[Series]]:
    """Figures, and costs by number of VEs as series. The VEs are gone afterwards.

    Raises UsageError for counts that cannot be, NotAvailableError where no VE can be made.
    """
    if not counts or min(counts) < 1:
        raise UsageError(f"{counts}: not numbers of VEs. Give some, each 1 or more")
    allow_open_files(MOST_FILES)
    measured: list[Count] = []
    others: list[Served] = []
    refused: list[Figure] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rctl-bench-"))
        base = stack.enter_context(tree.walk(tree.base))
        stack.enter_context(controllers_as_before(tree))
        if there := base.read("cgroup.controllers").split():
            base.write(SUBTREE_CONTROL, enable_text(there))
        ves: list[Cgroup] = stack.enter_context(_ves(tree, tell))
        for count in sorted(counts):
            if _too_many(measured[-1] if measured else None, count):
                refused.append(too_many(count, _limit()))
                continue
            _grow(tree, ves, count, tell)
            measured.append(_count(tree, ves, profile, rounds, folder, tell))
            if count == min(max(counts), PROMISED):
                tell("other exporters")
                others = served(f"{own_name()}-*", profile, tell)
    found = figures(measured, others, profile, counted=clock() == "instructions")
    return [*found, *refused], series(measured)


def _too_many(last: Count | None, ves: int) -> bool:
    """Whether so many VEs have more files than may be open, going by the last ones."""
    files = last.files / last.ves if last else 0
    return ves * (files + 1) > _limit() - _OTHER_FILES


def _limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextmanager
def _ves(tree: Tree, tell: Tell) -> Iterator[list[Cgroup]]:
    ves: list[Cgroup] = []
    try:
        yield ves
    finally:
        tell("removing the VEs")
        for ve in ves:  # removing needs a descriptor, too
            ve.close()
        removed(tree, *(f"{own_name()}-{number}" for number in range(len(ves))))


def _grow(tree: Tree, ves: list[Cgroup], count: int, tell: Tell) -> None:
    while len(ves) < count:
        if len(ves) % 100 == 0:
            tell(f"making {count} VEs: {len(ves)}")
        with undisturbed():
            ves.append(bare.make(tree, f"{own_name()}-{len(ves)}"))


def _count(tree: Tree, ves: Sequence[Cgroup], profile: str, rounds: int, folder: str, tell: Tell) -> Count:
    files = f"{folder}/files"
    tell(f"{len(ves)} VEs: starting")
    with ExitStack() as stack:

        def subject(name: str, command: Sequence[str]) -> Subject:
            made = Subject(name, command)
            stack.callback(made.close)
            made.scrape()
            return made

        worker = (sys.executable, "-m", "rctl.bench.scrapers")
        rctl = subject("rctl", (*worker, "rctl", f"{own_name()}-*", profile, files))
        command, how = _loop(folder, worker)
        loop = subject("the bare loop", (*command, files))
        plain = subject("a plain collector", (*worker, "plain", files))
        found: dict[float, list[Round]] = {}
        workers: list[Worker] = []
        for share in (0.0, BUSY, 1.0)[: 3 if len(ves) <= MOST_WORKERS else 2]:
            tell(f"{len(ves)} VEs, {share:.0%} at work")
            while len(workers) < round(len(ves) * share):
                workers.append(Worker(ves[len(workers)]))
                stack.callback(workers[-1].close)
            rctl.scrape()
            found[share] = [_round(loop, rctl, workers, number) for number in range(rounds)]
        plains = [(rctl.scrape(), plain.scrape()) for _ in range(PLAIN_ROUNDS if len(ves) <= PROMISED else 1)]
        lines = len(Path(files).read_text().splitlines())
    return Count(len(ves), lines, how, found[0.0], found[BUSY], found.get(1.0, []), plains)


def _round(loop: Subject, rctl: Subject, workers: Sequence[Worker], number: int) -> Round:
    for worker in workers:
        worker.work()
    if number % 2:
        bare_cost = loop.scrape()
        return Round(bare_cost, rctl.scrape())
    cost = rctl.scrape()
    return Round(loop.scrape(), cost)


class Worker:
    """A process in a VE that works when it is told to: it runs, and allocates and frees memory."""

    def __init__(self, ve: Cgroup) -> None:
        (ear, self._tell), (self._hear, mouth) = os.pipe(), os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                ve.write(PROCS, "0")
                while os.read(ear, 1) == b"w":
                    bytearray(_WORK)
                    os.write(mouth, b".")
            finally:
                os._exit(0)
        os.close(ear)
        os.close(mouth)

    def work(self) -> None:
        """Work once."""
        os.write(self._tell, b"w")
        if not os.read(self._hear, 1):
            raise WorkError("a worker ended")

    def close(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._tell)
        os.close(self._hear)


def _loop(folder: str, worker: Sequence[str]) -> tuple[Sequence[str], str]:
    """The bare loop's command, and what it is."""
    program = f"{folder}/readloop"
    compiler = found("cc") or found("gcc") or found("clang")
    if compiler:
        source = str(PROGRAMS / "readloop.c")
        if subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, check=False).returncode == 0:
            return (program,), "readloop.c"
    return (*worker, "bare"), "a loop in Python, for there is no C compiler (cc) here"
