"""A cgroup v2 kernel in memory: it answers as Linux 6.1 does (tests/vectors.json), and fails where a test wants it to.

It stands in for the system calls under ``rctl.cgroupfs``, so all of rctl's own code runs. ``FakeKernel.installed()``
puts it in place; every open, read and write, those of the journal too, is one *operation*, counted from 0. A *fault*
strikes before an operation: an errno, ``INTERRUPT`` (Ctrl-C, as a real signal) or ``CRASH`` (kill -9: nothing that
comes after has any effect, and all locks and descriptors are gone).

``fake_files`` knows the files and their texts, ``fake_machine`` what they do, ``fake_calls`` the system calls.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from rctl.adjust import fork, shrink_memory
from rctl.adjust.records import follow, journal, log_files
from rctl.adjust.state_folder import State
from rctl.cgroupfs import cgroup, files, labels, marks, mounts, paths, tree, ve_cgroups
from rctl.cgroupfs.tree import Tree
from rctl.host import Host
from rctl.limits import Limits, decode, nest
from rctl.ve import copy
from tests.unit.fake_calls import CRASH, INTERRUPT, Calls, Crash, JournalCalls, Operation
from tests.unit.fake_machine import Machine, Node

FIRST_FD = 1_000_000
BOOT = "b007"


class FakeKernel(Machine):
    """The whole machine, as one process of rctl sees it."""

    def __init__(self, cpus: int = 4, disks: tuple[str, ...] = ("8:0", "8:16"), swap: int = 4 << 30) -> None:
        super().__init__(cpus, disks, swap)
        self.wake()

    def wake(self) -> None:
        """A new process looks at the same machine: no descriptors, no faults, nothing counted."""
        self.now = 0.0
        self.dead = False
        self.operations: list[Operation] = []
        self.faults: dict[int, int | str] = {}
        self.broken: Callable[[Operation], int | None] = lambda operation: None
        self.watch: Callable[[Operation], None] = lambda operation: None
        self.fds: dict[int, tuple[Node, str | None]] = {}
        self.most_open = 0
        self.journal_fds: set[int] = set()
        self.next_fd = FIRST_FD

    def __getstate__(self) -> dict[str, Any]:
        names = ("cpus", "disks", "swap", "controllers", "lacks", "knows_swappiness", "root", "_inodes")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.wake()

    def copy(self) -> FakeKernel:
        """The same machine once more."""
        twin: FakeKernel = pickle.loads(pickle.dumps(self))
        return twin

    @property
    def writes(self) -> list[Operation]:
        """Writes to cgroups so far."""
        return [operation for operation in self.operations if operation.kind == "write"]

    def tick(self, operation: Operation) -> None:
        """Count one operation, and let a fault strike before it."""
        if self.dead:
            raise Crash
        fault = self.faults.get(len(self.operations))
        self.operations.append(operation)
        if fault == CRASH:
            self.die()
        elif fault == INTERRUPT:
            signal.raise_signal(signal.SIGINT)
        elif isinstance(fault, int):
            raise OSError(fault, os.strerror(fault))
        if (lasting := self.broken(operation)) is not None:
            raise OSError(lasting, os.strerror(lasting))

    def die(self) -> None:
        """As kill -9: descriptors, and the locks on them, go."""
        self.dead = True
        for fd in self.journal_fds:
            fork.let_go(fd) if fd in fork._held else os.close(fd)
        self.journal_fds.clear()
        raise Crash

    @contextmanager
    def installed(self) -> Iterator[Tree]:
        """In place of the real kernel. Gives an open tree; ``Tree.open()`` opens the same machine."""
        calls, journal_calls = Calls(self), JournalCalls(self)
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        with ExitStack() as stack:
            for place, name, stand_in in (
                (cgroup, "os", calls),
                (tree, "os", calls),
                (labels, "os", calls),
                (marks, "os", calls),
                (paths, "os", calls),
                (mounts, "find", lambda named: mounts.Mount(mounts.USUAL)),
                (journal, "os", journal_calls),
                (log_files, "os", journal_calls),
                (follow, "os", journal_calls),
                (journal, "let_go", journal_calls.let_go),
                (shrink_memory, "time", clock),
                (ve_cgroups, "BOOTED", "/nowhere"),
                (files, "possible", lambda kind: f"0-{self.cpus - 1}" if kind == "cpu" else "0"),
                (copy, "has_huge_pages", lambda size: size == 2 << 20),
                (files, "online_cpus", lambda: f"0-{self.cpus - 1}"),
            ):
                stack.enter_context(mock.patch.object(place, name, stand_in))
            yield stack.enter_context(Tree.open("/"))

    def _sleep(self, seconds: float) -> None:
        if self.dead:
            raise Crash
        self.now += max(seconds, 1e-6)

    @property
    def host(self) -> Host:
        """What rctl knows of this machine."""
        files = {
            "/proc/meminfo": f"MemTotal: {8 << 20} kB\n",
            "/sys/devices/system/cpu/online": f"0-{self.cpus - 1}\n",
            "/sys/devices/system/node/online": "0\n",
            "/sys/devices/system/node/node0/cpulist": f"0-{self.cpus - 1}\n",
            "/proc/sys/kernel/random/boot_id": BOOT + "\n",
        }
        return Host(files.__getitem__)


def limits(pairs: dict[str, Any], host: Host) -> Limits:
    """Limits from ``{"memory.max": "2G"}``."""
    found: Limits = decode(nest(pairs), host)
    return found


@contextmanager
def state_folder() -> Iterator[State]:
    """A state folder of its own, on memory where there is such a place, so that fsync costs nothing."""
    memory = "/dev/shm"
    place = tempfile.mkdtemp(prefix="rctl-test-", dir=memory if os.access(memory, os.W_OK) else None)
    try:
        yield State(f"{place}/run", place)
    finally:
        shutil.rmtree(place)
