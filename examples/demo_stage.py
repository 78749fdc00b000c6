"""The stage of the demo: its folder on a disk, the `rctl` command line, the kernel's counters, the clearing away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import rctl
import rctl.adjust.undoing.undo
import rctl.cli.app
import rctl.cli.verbs.attach
import rctl.cli.verbs.ls
import rctl.cli.verbs.set
import rctl.cli.verbs.undo
import rctl.console.output
import rctl.sample.overview
import rctl.ve.command
from rctl.cgroupfs.devices import resolve
from rctl.cgroupfs.tree import Tree
from rctl.console import terminal

REPO = Path(__file__).resolve().parents[1]
NAMES = ("demo-cpu", "demo-mem", "demo-disk")
SPACE = 256 << 20  # bytes of disk that the workloads may need
MEMORY = 1 << 30  # bytes of memory that must be free


class DemoError(Exception):
    """The demo cannot continue. The message is one line: thing, cause, remedy."""


def disk_folder() -> str | None:
    """A folder on a real disk that takes O_DIRECT writes and has room; ``None`` if there is none."""
    for place in (os.environ.get("LAB_MOUNT"), "/var/tmp", str(REPO), os.path.expanduser("~")):
        with contextlib.suppress(OSError, rctl.RctlError):
            if place and shutil.disk_usage(place).free >= SPACE // 2:
                resolve(place)
                with tempfile.NamedTemporaryFile(dir=place) as file:
                    os.close(os.open(file.name, os.O_WRONLY | os.O_DIRECT))
                return place
    return None


def cli(*words: str, width: int = 0) -> tuple[int, str]:
    """Run the command line, ``rctl WORDS``, in a separate process. Returns its exit status and its output.

    ``width``: columns for its tables, as on a terminal; 0: no limit.
    The process is forked from this one, which has all imports done: a new Python takes seconds under emulation.
    """
    with tempfile.TemporaryFile() as output:  # a detached workload would keep a pipe open
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                for number in (1, 2):
                    os.dup2(output.fileno(), number)
                if width:
                    terminal.width = lambda stream: width
                sys.argv = ["rctl", *words]
                rctl.cli.main()
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(end.code if isinstance(end.code, int) else 1)
            except BaseException:  # noqa: BLE001 (printed, and the process ends)
                traceback.print_exc()
            finally:
                os._exit(1)
        status = _wait(pid)
        output.seek(0)
        return status, output.read().decode(errors="replace").strip()


def _wait(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        # Ctrl-C reached the command, too; let it put back its changes.
        os.waitpid(pid, 0)
        raise


class Reading(NamedTuple):
    """The kernel's counters at ``time``, by VE: CPU microseconds, times throttled, bytes written by disk."""

    time: float
    cpu: dict[str, int]
    throttled: dict[str, int]
    written: dict[str, dict[str, int]]


class Usage(NamedTuple):
    """The use over ``seconds``, by VE: CPUs, times throttled, bytes written per second."""

    seconds: float
    cpus: dict[str, float]
    throttled: dict[str, int]
    written: dict[str, float]


VEs = Mapping[str, rctl.VE]


def read(ves: VEs) -> Reading:
    """All counters at one moment; read again if the reading was held up for long."""
    for _ in range(20):
        begin = time.monotonic()
        stats = {name: ve.cpu.stat for name, ve in ves.items()}
        disks = {name: ve.io.stat for name, ve in ves.items()}
        end = time.monotonic()
        if end - begin < 0.02:
            break
    return Reading(
        (begin + end) / 2,
        {name: stat["usage_usec"] for name, stat in stats.items()},
        {name: stat.get("nr_throttled", 0) for name, stat in stats.items()},
        {name: {disk: int(pairs.get("wbytes", 0)) for disk, pairs in stat.items()} for name, stat in disks.items()},
    )


def measure(ves: VEs, seconds: float, settle: float = 0.0) -> Usage:
    """Measure the VEs for ``seconds``, after ``settle`` seconds."""
    time.sleep(settle)
    first = read(ves)
    time.sleep(seconds)
    last = read(ves)
    span = last.time - first.time
    return Usage(
        span,
        {name: (last.cpu[name] - first.cpu[name]) / 1e6 / span for name in ves},
        {name: last.throttled[name] - first.throttled[name] for name in ves},
        # A disk may lie on another one, which counts the same bytes again: take the highest count.
        {
            name: max((n - first.written[name].get(d, 0) for d, n in last.written[name].items()), default=0) / span
            for name in ves
        },
    )


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for the condition. Raises DemoError at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise DemoError(f"{what}: not within {seconds:g} s. Is this machine very busy? Run it again")
        time.sleep(0.05)


@contextlib.contextmanager
def stage() -> Iterator[str]:
    """A folder for the workloads. At every end, VEs, processes, files and controllers are as before."""
    place = disk_folder()
    if place is None:
        raise DemoError("disk: no folder on a disk that takes O_DIRECT. Run it in the lab: examples/demo.py --lab")
    if cli("ls", "demo-*")[0] == 0:
        raise DemoError("demo-*: such VEs exist already. Remove them: rctl rm --kill 'demo-*'")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with Tree.open() as tree, tree.place() as home, tempfile.TemporaryDirectory(".demo", dir=place) as folder:
        os.environ["RCTL_STATE"] = f"{folder}/state"  # keeps the user's history unchanged
        before = home.read("cgroup.subtree_control").split()
        try:
            yield folder
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            status, said = cli("rm", "--kill", "demo-*")
            if status and "no VE matches" not in said:
                print(said, file=sys.stderr)
            enabled = [name for name in home.read("cgroup.subtree_control").split() if name not in before]
            if enabled and not tree.naming.suffix:  # where VEs are units, systemd enables and disables controllers
                with contextlib.suppress(rctl.RctlError):  # others may use them by now
                    home.write("cgroup.subtree_control", " ".join(f"-{name}" for name in enabled))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
