"""Random operations against the model of ``tests/kernel/model.py``, on the kernel in memory: a thousand in seconds.

``make test-random`` does twenty thousand on a real one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from rctl.adjust.account import Account
from rctl.adjust.lifecycle import processes
from rctl.adjust.state_folder import default_state, make
from rctl.api.session import Session
from rctl.cgroupfs import devices, labels
from rctl.cgroupfs.tree import Tree
from rctl.errors import NotFoundError, RctlError
from rctl.host import Host
from tests.kernel.compared import Run, Wrong, shortest
from tests.kernel.doing import World
from tests.kernel.model_tree import Group, Machine, Record
from tests.kernel.model_words import NEW
from tests.kernel.operations import Op, Operations
from tests.unit.fake_calls import CRASH, Crash
from tests.unit.fake_kernel import FakeKernel
from tests.unit.fake_machine import Node

DISK = "253:16"


class Machines(FakeKernel):
    """As its base, and what is below a frozen cgroup is frozen too."""

    def text(self, node: Node, file: str) -> str:
        if file != "cgroup.events":
            return super().text(node, file)
        frozen = any(one.files["cgroup.freeze"] == "1" for one in node.line())
        return f"populated {int(node.tasks)}\nfrozen {int(frozen)}\n"


class FakeWorld(World):
    """VEs on the kernel in memory. Processes are numbers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.numbers = count(1000)
        self.stack = ExitStack()
        monkeypatch.setenv("RCTL_STATE", str(folder))
        monkeypatch.setattr(processes, "started", self.started)
        monkeypatch.setattr(processes, "check_whole", self.started)
        monkeypatch.setattr(devices, "resolve", lambda name: name)
        monkeypatch.setattr(Tree, "cgroup_of", lambda tree, pid: "/" if pid == "self" else self.at(int(pid)))

    def begin(self) -> None:
        self.stack.close()
        self.kernel = Machines(cpus=2, disks=(DISK,))
        self.root = self.stack.enter_context(self.kernel.installed()).root.fd
        self.ids.clear()
        self.pids.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        make(default_state()).close()

    def machine(self) -> Machine:
        return Machine(frozenset(NEW), "0", {"cpuset.cpus": "0-1", "cpuset.mems": "0"})

    def host(self) -> Host:
        return self.kernel.host

    def at(self, pid: int) -> str:
        """Where a process is."""
        for node in self.kernel.root.family():
            if pid in node.procs:
                return node.path
        raise FileNotFoundError(pid)

    def started(self, pid: int) -> int:
        """Whether it lives."""
        try:
            self.at(pid)
        except FileNotFoundError:
            raise NotFoundError(f"{pid}: there is no such process") from None
        return 1

    def killed(self, op: Op, meant: Record | None) -> bool:
        kernel = self.kernel
        kernel.faults = {len(kernel.operations) + 2 * op.killed: CRASH}
        killed = False
        try:
            self.do(op, meant)
        except Crash:
            killed = True
        except RctlError:
            pass
        root = {fd: held for fd, held in kernel.fds.items() if fd == self.root}
        kernel.wake()
        kernel.fds |= root
        kernel.next_fd += len(root)
        for name in self.journals():  # half written ones are known by their process, which is this one here
            if name[0] == ".":
                os.unlink(f"{default_state().journals}/{name}")
        return killed

    def _fork(self, _: Session, op: Op, __: Record | None) -> None:
        for node in self.kernel.root.family():
            node.procs.discard(self.pids.get(op.names[0], 0))
        self.pids[op.names[0]] = next(self.numbers)
        self.kernel.root.procs.add(self.pids[op.names[0]])

    def _mkdir(self, _: Session, op: Op, __: Record | None) -> None:
        above = op.names[0].rpartition("/")[0]
        if above not in self.names() or op.names[0] in self.names():
            raise RctlError(f"{op.names[0]}: cannot be made")
        self.kernel.make(op.names[0], enable=False)

    def _outside(self, session: Session, op: Op, _: Record | None) -> None:
        for file, text in op.pairs:
            self.kernel.put(session.tree.path(op.names[0]), file, text)

    def _shrink(self, session: Session, op: Op, _: Record | None) -> Account:
        node = self.kernel.node(session.tree.path(op.names[0]))
        node.anon = 12 << 20
        try:
            return self._set(session, Op("set", op.names, (("memory.max", "4M"),)), None)
        finally:
            node.anon = node.swapped = 0

    def names(self) -> set[str]:
        return {node.path for node in self.kernel.root.family()} - {"/"}

    def texts(self, path: str, machine: Machine) -> dict[str, str | None]:
        node, kernel = self.kernel.node(path), self.kernel
        return {file: kernel.text(node, file).strip() if kernel.has(node, file) else None for file in machine.files}

    def group(self, path: str) -> Group:
        node, start = self.kernel.node(path), len(labels._PREFIX)
        return Group(
            gives=frozenset(node.enabled), labels={key[start:]: value.decode() for key, value in node.labels.items()}
        )

    def where(self) -> dict[str, str]:
        found = {}
        for name, pid in self.pids.items():
            if any(pid in node.procs for node in self.kernel.root.family()):
                found[name] = self.at(pid)
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorld]:
    place = FakeWorld(tmp_path / "state", monkeypatch)
    yield place
    place.stack.close()


@pytest.mark.parametrize("seed", [1, 4, 5])
def test_random_operations_do_what_the_model_says(seed: int, world: FakeWorld) -> None:
    run, operations = Run(world, world.machine()), Operations(seed, DISK)
    for number in range(700):
        try:
            run.step(operations.next(run.model))
        except Wrong as wrong:
            few, told = shortest(world, world.machine(), list(run.last), 30)
            lines = "\n".join(f"  {op}" for op in few)
            pytest.fail(f"operation {number + 1}: {wrong}\nThe same, or another one, in few:\n{lines}\n{told}")
    assert run.refused > 100
    assert run.kills > 5
