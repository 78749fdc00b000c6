"""Does operations with the functions of rctl that the command line uses, in a world that somebody else provides."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from itertools import islice
from pathlib import Path

from rctl.adjust import choose, entering, shrink
from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.history import latest
from rctl.adjust.recover import recover
from rctl.adjust.state import default_state, make
from rctl.adjust.undo import take_back
from rctl.cgroupfs.tree import Tree
from rctl.errors import NotFoundError
from rctl.host import Host
from rctl.limits import Limits, decode, nest
from rctl.spec import Spec, Ve
from rctl.ve import alike, bare, many
from tests.kernel.model_tree import Group, Machine, Record
from tests.kernel.operations import Op


class World(ABC):
    """VEs on some kernel. ``ids``: of the adjustments, by the model's number of each. ``pids``: by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids: dict[int, str] = {}
        self.pids: dict[str, int] = {}

    @abstractmethod
    def begin(self) -> None:
        """A new host: no VE, no process, no state of rctl's."""

    @abstractmethod
    def machine(self) -> Machine:
        """What this kernel has."""

    @abstractmethod
    def host(self) -> Host:
        """What rctl knows of it."""

    @abstractmethod
    def killed(self, op: Op, meant: Record | None) -> bool:
        """Do it, and kill -9 in the middle; whether it came to that."""

    @abstractmethod
    def names(self) -> set[str]:
        """The paths of all cgroups that are there."""

    @abstractmethod
    def texts(self, path: str, machine: Machine) -> dict[str, str | None]:
        """What each file shows; ``None`` for one that is not there."""

    @abstractmethod
    def group(self, path: str) -> Group:
        """What a cgroup gives to its children, and its labels."""

    @abstractmethod
    def where(self) -> dict[str, str]:
        """Where the living processes are, by name."""

    def do(self, op: Op, meant: Record | None = None) -> Account | None:
        """Do it. ``meant``: what undo is to take back. Raises RctlError when rctl refuses."""
        with Tree.open() as tree:
            done: Account | None = getattr(self, f"_{op.verb}")(tree, op, meant)
            return done

    def recover(self) -> list[str]:
        """`rctl recover`."""
        with Tree.open() as tree, make(default_state()) as state:
            return recover(tree, self.host().boot_id, state, 10)

    def journals(self) -> list[str]:
        """What is left in the folder of open journals."""
        folder = default_state().journals
        return os.listdir(folder) if os.path.isdir(folder) else []

    def told(self) -> list[tuple[str, str]]:
        """The newest adjustments in the history, by id and command."""
        with default_state() as state:
            return [(record.id, record.command) for record in islice(latest(state), 3)]

    def _make(self, tree: Tree, op: Op, _: Record | None) -> None:
        bare.make(tree, op.names[0]).close()

    def _set(self, tree: Tree, op: Op, _: Record | None) -> Account:
        host = self.host()
        limits = decode(nest(dict(op.pairs)), host)
        return adjust(tree, dict.fromkeys(tree.match(op.names), limits), host, options(op))

    def _reclaim(self, tree: Tree, op: Op, _: Record | None) -> None:
        with tree.open_ve(op.names[0]) as ve:
            shrink.free(ve, 1 << 20, 0.2, lambda _: None)

    def _reset(self, tree: Tree, op: Op, _: Record | None) -> Account:
        return alike.reset(tree, tree.match(op.names), op.keys, self.host(), options(op))

    def _copy_limits(self, tree: Tree, op: Op, _: Record | None) -> Account:
        return alike.copy(tree, op.names[0], tree.match(op.names[1:]), self.host(), options(op))

    def _rename(self, tree: Tree, op: Op, _: Record | None) -> Account:
        return alike.rename(tree, *op.names, self.host(), options(op))

    def _label(self, tree: Tree, op: Op, _: Record | None) -> None:
        pairs = {key: value for key, value in op.pairs if value}
        alike.label(tree, tree.match(op.names), pairs, [key for key, value in op.pairs if not value])

    def _attach(self, tree: Tree, op: Op, _: Record | None) -> Account:
        limits = Limits(files={"cgroup.freeze": "0"} if op.thaw else {})
        pids = [self.pids.get(name, 4194303) for name in op.names[1:]]
        for pid in pids:
            entering.check(tree, pid, tree.path(op.names[0]))
        return bare.attach(tree, op.names[0], pids, self.host(), options(op), limits)

    def _rm(self, tree: Tree, op: Op, _: Record | None) -> Account:
        names = [name for name in tree.match(op.names) if bare.exists(tree, name)]
        return bare.remove_all(tree, names, self.host(), options(op), op.kill)

    def _apply(self, tree: Tree, op: Op, _: Record | None) -> Account:
        host = self.host()
        plain = {name: nest(dict(pairs)) | ({"labels": dict(said)} if said else {}) for name, pairs, said in op.spec}
        ves = {name: decode(data, host, Ve) for name, data in plain.items()}
        return many.apply(tree, Spec(ves), host, options(op), prune=op.prune).account

    def _undo(self, tree: Tree, op: Op, meant: Record | None) -> Account:
        host = self.host()
        with default_state() as state:
            if op.which:
                if meant is None:
                    raise NotFoundError("no such adjustment")
                record = choose.by_id(state, self.ids[meant.number])
            else:
                (record,) = choose.newest(state, tree, host.boot_id)
            return take_back(tree, host, options(op), record, state=state, asked=bool(op.which))


def options(op: Op) -> Options:
    """How to do it."""
    return Options(10, force=op.force, dry_run=op.dry, command=str(op))
