"""The cost of a scrape, beside a bare loop that only reads the same files, and other exporters, in one run.

Each subject is a process that scrapes the same VEs by turns. rctl's exporter does so twice: within one process, and
served over HTTP with gzip, as Prometheus asks for it. "The bare loop" is in C if there is a compiler: every file stays
open, one pread(2) each, and the text is not used. "A plain collector" is written as in prometheus_client's manual.
Between scrapes a share of the VEs works. VEs at rest cost rctl less, so both figures are given. The VEs lie below a
parent, as those of slices, pods and docker do, or directly below the root (``below``).
"""

from __future__ import annotations

import http.client
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import allow_open_files
from ...cgroupfs.tree import Tree
from ...cgroupfs.ve_cgroups import Naming
from ...controllers.core import CONTROLLERS, PROCS, SUBTREE_CONTROL, enable_text
from ...errors import UsageError
from ...signals import undisturbed
from ...ve import bare
from ..figures.result import Figure, Series
from ..scraping.cost import Cost
from ..scraping.figures import BUSY, PROMISED, Measured, Round, figures, series, too_many
from ..scraping.over_http import Exporter
from ..scraping.peer_exporters import ServedExporter, own, served
from ..stage.clock import clock
from ..stage.place import Tell, WorkError, controllers_as_before, own_name, removed
from ..workloads.base import PROGRAMS, found

COUNTS = (1, 100, 1000, 5000)
PLAIN_ROUNDS = 2
MOST_FILES = 1 << 20
MOST_WORKERS = 1000
_OTHER_FILES = 512
_WORK = 1 << 18  # bytes


class Subject:
    """A process that scrapes once for each ``scrape``."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(environment)
        )

    def scrape(self) -> Cost:
        """One scrape. Raises WorkError if the process has ended."""
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


class Stage(NamedTuple):
    """The stage of the benchmark. ``tree``: holds the VEs. ``stem``: the beginning of their names.

    ``patterns``: the VEs that are read. ``server``: the cgroup of exporters that serve. ``environment``: of every
    subject.
    """

    tree: Tree
    stem: str
    patterns: tuple[str, ...]
    server: Cgroup
    environment: Mapping[str, str]
    folder: str


def measure(
    tree: Tree,
    *,
    counts: Sequence[int] = COUNTS,
    profile: str = "full",
    rounds: int = 8,
    below: bool = True,
    tell: Tell,
) -> tuple[list[Figure], list[Series]]:
    """Figures, and costs by number of VEs as series. Removes the VEs afterwards.

    ``below``: the VEs lie below one parent, which is read, too; otherwise they lie where rctl's own VEs lie.
    Raises UsageError for wrong counts, NotAvailableError if no VE can be made.
    """
    if not counts or min(counts) < 1:
        raise UsageError(f"{counts}: not numbers of VEs. Give some, each 1 or more")
    allow_open_files(MOST_FILES)
    measured: list[Measured] = []
    others: list[ServedExporter] = []
    refused: list[Figure] = []
    with ExitStack() as stack:
        stage = stack.enter_context(_stage(tree, below))
        ves: list[Cgroup] = stack.enter_context(_ves(stage, tell))
        for count in sorted(counts):
            if _too_many(measured[-1] if measured else None, count):
                refused.append(too_many(count, _limit()))
                continue
            _grow(stage, ves, count, tell)
            measured.append(_count(stage, ves, profile, rounds, tell))
            if count == min(max(counts), PROMISED):
                tell("other exporters")
                others = served(stage.server, tell)
    found = figures(measured, others, profile, counted=clock() == "instructions")
    return [*found, *refused], series(measured)


def _too_many(last: Measured | None, ves: int) -> bool:
    """True if so many VEs have more files than may be open, estimated from the last measurement."""
    files = last.files / last.ves if last else 0
    return ves * (files + 1) > _limit() - _OTHER_FILES


def _limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextmanager
def _stage(tree: Tree, below: bool) -> Iterator[Stage]:
    """Enable controllers, make a parent for the VEs, and a cgroup for servers; restore everything afterwards."""
    own, server = own_name(), f"{own_name()}-server"
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rctl-bench-"))
        stack.enter_context(controllers_as_before(tree))
        with tree.walk(tree.base) as base:
            _enable_all(base)
        stack.callback(removed, tree, own, server)
        with undisturbed():
            bare.make(tree, server).close()
        where = stack.enter_context(tree.open_ve(server))
        if not below:
            yield Stage(tree, f"{own}-", (f"{own}-[0-9]*",), where, os.environ, folder)
            return
        with undisturbed():
            bare.make(tree, own).close()
        parent = stack.enter_context(tree.open_ve(own))
        _enable_all(parent)
        inner = Tree(tree.root, Naming(parent.path, ""))
        yield Stage(inner, "ve-", ("ve-*", parent.path), where, os.environ | {"RCTL_TREE": parent.path}, folder)


def _enable_all(cgroup: Cgroup) -> None:
    if there := cgroup.read(CONTROLLERS).split():
        cgroup.write(SUBTREE_CONTROL, enable_text(there))


@contextmanager
def _ves(stage: Stage, tell: Tell) -> Iterator[list[Cgroup]]:
    ves: list[Cgroup] = []
    try:
        yield ves
    finally:
        tell("removing the VEs")
        for ve in ves:  # removing needs a descriptor, too
            ve.close()
        removed(stage.tree, *(f"{stage.stem}{number}" for number in range(len(ves))))


def _grow(stage: Stage, ves: list[Cgroup], count: int, tell: Tell) -> None:
    while len(ves) < count:
        if len(ves) % 100 == 0:
            tell(f"making {count} VEs: {len(ves)}")
        with undisturbed():
            ves.append(bare.make(stage.tree, f"{stage.stem}{len(ves)}"))


def _count(stage: Stage, ves: Sequence[Cgroup], profile: str, rounds: int, tell: Tell) -> Measured:
    files = f"{stage.folder}/files"
    tell(f"{len(ves)} VEs: starting")
    with ExitStack() as stack:

        def subject(name: str, command: Sequence[str]) -> Subject:
            made = Subject(name, command, stage.environment)
            stack.callback(made.close)
            made.scrape()
            return made

        worker = (sys.executable, "-m", "rctl.bench.scraping.scrapers")
        rctl = subject("rctl", (*worker, "rctl", ",".join(stage.patterns), profile, files))
        command, how = _loop(stage.folder, worker)
        loop = subject("the bare loop", (*command, files))
        server = _served(stage, profile)
        stack.callback(server.close)
        plain = subject("a plain collector", (*worker, "plain", files))
        found: dict[float, list[Round]] = {}
        workers: list[BusyProcess] = []
        for share in (0.0, BUSY, 1.0)[: 3 if len(ves) <= MOST_WORKERS else 2]:
            tell(f"{len(ves)} VEs, {share:.0%} at work")
            while len(workers) < round(len(ves) * share):
                workers.append(BusyProcess(ves[len(workers)]))
                stack.callback(workers[-1].close)
            rctl.scrape()
            server.scrape()
            found[share] = [_round(loop, rctl, server, workers, number) for number in range(rounds)]
        plains = [(rctl.scrape(), plain.scrape()) for _ in range(PLAIN_ROUNDS if len(ves) <= PROMISED else 1)]
        lines = len(Path(files).read_text().splitlines())
    return Measured(len(ves), lines, how, found[0.0], found[BUSY], found.get(1.0, []), plains)


def _served(stage: Stage, profile: str) -> Exporter:
    try:
        return Exporter("rctl exporter", own(stage.patterns, profile), stage.server, stage.environment)
    except (OSError, http.client.HTTPException) as error:
        raise WorkError(f"rctl exporter: {error}") from None


def _round(loop: Subject, rctl: Subject, server: Exporter, workers: Sequence[BusyProcess], number: int) -> Round:
    """Let each scrape by turns, in another order each time; the same share of VEs has worked before each scrape."""
    order: list[Subject | Exporter] = [loop, rctl, server]
    costs = {}
    for subject in order[number % 3 :] + order[: number % 3]:
        for worker in workers:
            worker.work()
        costs[subject.name] = subject.scrape()
    return Round(*(costs[subject.name] for subject in order))


class BusyProcess:
    """A process in a VE that works on request: it runs, and allocates and frees memory."""

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
        """End the process."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._tell)
        os.close(self._hear)


def _loop(folder: str, worker: Sequence[str]) -> tuple[Sequence[str], str]:
    """The bare loop's command, and its description."""
    program = f"{folder}/readloop"
    compiler = found("cc") or found("gcc") or found("clang")
    if compiler:
        source = str(PROGRAMS / "readloop.c")
        if subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, check=False).returncode == 0:
            return (program,), "readloop.c"
    return (*worker, "bare"), "a loop in Python, because there is no C compiler (cc) here"
