"""One run of operations, on the real tree and on the model: after each, both must be the same."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from rctl.errors import RctlError, RollbackError
from tests.kernel.doing import World
from tests.kernel.model import Model, Refused
from tests.kernel.model_tree import Machine, Record
from tests.kernel.operations import Op

_ALL = 25
"""After every so manieth operation all cgroups are compared, not only those that it can have changed."""


class Cost(NamedTuple):
    """System calls that read or write, bytes that they read, CPU seconds."""

    calls: int
    read: int
    seconds: float


def cost() -> Cost:
    """Of this process so far (``/proc/PID/io`` in proc(5))."""
    with open("/proc/self/io") as file:
        told = dict(line.split(": ") for line in file)
    return Cost(int(told["syscr"]) + int(told["syscw"]), int(told["rchar"]), time.process_time())


class Wrong(AssertionError):  # noqa: N818 (what a test finds)
    """The kernel is not as the model says."""


class Run:
    """``model`` is how all must be now; ``last``: the operations so far; ``spent``: what the last one cost."""

    def __init__(self, world: World, machine: Machine) -> None:
        world.begin()
        self.world, self.model = world, Model(machine)
        self.last: deque[Op] = deque(maxlen=400)
        self.spent = Cost(0, 0, 0.0)
        self.refused = self.kills = self.count = 0

    def step(self, op: Op) -> None:
        """Do it on both. Raises Wrong."""
        self.last.append(op)
        before = self.model
        after = self.model.copy()
        record: Record | None = None
        reason = ""
        try:
            record = after.do(op)
        except Refused as refused:
            reason = str(refused) or "refused"
            self.refused += 1
        meant = self.model.meant(op) if op.verb == "undo" else None
        if op.killed:
            self.kills += 1
            self._interrupted(op, meant, after, record, reason)
        else:
            self._whole(op, meant, after, record, reason)
        if self.world.journals():
            raise Wrong(f"{op}: a journal is left")
        self.count += 1
        self.check(op, self._touched(op, before) if self.count % _ALL else set(self.model.groups))

    def _touched(self, op: Op, before: Model) -> set[str]:
        """The cgroups that changed or that the operation names."""
        groups = self.model.groups
        changed = {path for path, group in groups.items() if group is not before.groups.get(path)}
        with suppress(Refused):
            changed |= set(self.model.match([*op.names, *(name for name, _, _ in op.spec)]))
        return changed & groups.keys() | {"/"}

    def _whole(self, op: Op, meant: Record | None, after: Model, record: Record | None, reason: str) -> None:
        begin = cost()
        account, error = None, ""
        try:
            account = self.world.do(op, meant)
        except RollbackError as failed:
            raise Wrong(f"{op}: {failed}") from failed
        except RctlError as failed:
            error = f"{type(failed).__name__}: {failed}"
        self.spent = Cost(*(now - then for now, then in zip(cost(), begin, strict=True)))
        if error and not reason:
            raise Wrong(f"{op}: refused, though it is possible: {error}")
        if op.dry:
            if account is not None and account.id is not None:
                raise Wrong(f"{op}: has an id")
            return
        if reason and not error:
            raise Wrong(f"{op}: done, though it is to be refused: {reason}")
        if reason:
            return
        if account is not None and bool(account.id) != bool(record):
            raise Wrong(f"{op}: the model does {record}, and rctl says {account}")
        if record:
            self.world.ids[record.number] = (account and account.id) or self.world.told()[0][0]
        self._take(after)

    def _interrupted(self, op: Op, meant: Record | None, after: Model, record: Record | None, reason: str) -> None:
        """Killed in the middle, and settled: all of it or nothing, as the history says."""
        known = {number for number, _ in self.world.told()}
        killed = self.world.killed(op, meant)
        both = [self.model.names(), [] if reason else after.names()]
        following = Op("set", (op.then,), (("pids.max", "50"),)) if all(op.then in names for names in both) else None
        account = self.world.do(following) if following else None
        if following is None:
            self.world.recover()
        new = [number for number, command in self.world.told() if number not in known and command == str(op)]
        if new and reason:
            raise Wrong(f"{op}: done, though it is to be refused: {reason}")
        if not killed and bool(new) != bool(record) and op.verb != "undo":
            raise Wrong(f"{op}: was not killed, and the history has {new}")
        model = after if new else self.model
        if new and record:
            self.world.ids[record.number] = new[0]
        if following:
            model = model.copy()
            done = model.do(following)
            if bool(done) != bool(account and account.id):
                raise Wrong(f"{op}: then the model does {done}, and rctl says {account}")
            if done and account and account.id:
                self.world.ids[done.number] = account.id
        self._take(model)

    def _take(self, model: Model) -> None:
        self.model = model
        if len(self.world.ids) > 2000:
            numbers = {record.number for record in model.records}
            self.world.ids = {number: one for number, one in self.world.ids.items() if number in numbers}

    def check(self, op: Op, paths: Iterable[str]) -> None:
        """Compare which cgroups there are, who is where, and all of these. Raises Wrong."""
        model, world = self.model, self.world
        _same(op, "cgroups", sorted(model.groups.keys() - {"/"}), sorted(world.names()))
        _same(op, "processes", model.processes, world.where())
        for path in paths:
            group = model.groups[path]
            now = world.group(path)
            _same(op, f"{path}: controllers of children", sorted(group.gives), sorted(now.gives))
            _same(op, f"{path}: labels", group.labels, now.labels)
            if path == "/":
                continue
            texts = world.texts(path, model.machine)
            for file, text in texts.items():
                wanted = model.text(path, file)
                if text != wanted and not self._widened(path, file, wanted, text):
                    raise Wrong(f"{op}: {path}: {file} is {text!r}, and should be {wanted!r}")

    def _widened(self, path: str, file: str, wanted: str | None, text: str | None) -> bool:
        """Under tasks the kernel lets nobody empty a list: who puts back an empty one writes all there can be."""
        everything = self.model.machine.all.get(file)
        if everything is None or (wanted, text) != ("", everything) or not self.model.inside(path):
            return False
        held = self.model.groups[path].held | {file: everything}
        self.model.groups[path] = replace(self.model.groups[path], held=held)
        return True


def _same(op: Op, what: str, wanted: object, now: object) -> None:
    if wanted != now:
        raise Wrong(f"{op}: {what}: is {now}, and should be {wanted}")


def shortest(world: World, machine: Machine, ops: Sequence[Op], seconds: float) -> tuple[list[Op], str]:
    """The fewest of the last operations that still end in a fault, as far as the time allows, and that fault."""
    end = time.monotonic() + seconds
    best, told = list(ops), "not seen again"
    counts = [4, 8, 16, 32, 64, 128, 256, len(ops)]
    for count in counts:
        if time.monotonic() < end and (found := _fault(world, machine, ops[-count:])):
            best, told = found
            break
    at = 0
    while at < len(best) and time.monotonic() < end:
        if found := _fault(world, machine, [*best[:at], *best[at + 1 :]]):
            best, told = found
        else:
            at += 1
    return best, told


def _fault(world: World, machine: Machine, ops: Iterable[Op]) -> tuple[list[Op], str] | None:
    """The operations up to the first fault, on a new host, and the fault."""
    run = Run(world, machine)
    done: list[Op] = []
    for op in ops:
        done.append(op)
        try:
            run.step(op)
        except Wrong as wrong:
            return done, str(wrong)
        except (RctlError, OSError, KeyError, AssertionError):  # an operation that makes no sense without those before
            return None
    return None
