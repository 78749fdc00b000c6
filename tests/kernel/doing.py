"""Does operations with the functions of rctl that the command line uses, in a world that somebody else provides."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rctl.adjust.account import Account
from rctl.adjust.records.history import latest
from rctl.adjust.request import Options
from rctl.adjust.state_folder import default_state
from rctl.adjust.undoing.choose import asks_only
from rctl.api.session import Session
from rctl.errors import NotFoundError
from rctl.host import Host
from rctl.limits import decode, nest
from rctl.spec import Spec, Ve
from rctl.ve import bare, copy
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
        with Session(command=str(op), host=self.host()) as session:
            done: Account | None = getattr(self, f"_{op.verb}")(session, op, meant)
            return done

    def recover(self) -> Sequence[str]:
        """`rctl recover`."""
        with Session(host=self.host()) as session:
            return session.recover()

    def journals(self) -> list[str]:
        """What is left in the folder of open journals."""
        folder = default_state().journals
        return os.listdir(folder) if os.path.isdir(folder) else []

    def told(self) -> list[tuple[str, str]]:
        """The newest adjustments in the history, by id and command."""
        with default_state() as state:
            changes = (record for record in latest(state) if not asks_only(record))
            return [(record.id, record.command) for record in islice(changes, 3)]

    def _make(self, session: Session, op: Op, _: Record | None) -> None:
        bare.make(session.tree, op.names[0]).close()

    def _set(self, session: Session, op: Op, _: Record | None) -> Account:
        wanted = dict(op.pairs)
        return session.adjust(dict.fromkeys(op.names, wanted), force=op.force, dry_run=op.dry)

    def _reclaim(self, session: Session, op: Op, _: Record | None) -> None:
        session.reclaim(op.names[0], "1M", deadline=0.2)

    def _reset(self, session: Session, op: Op, _: Record | None) -> Account:
        how = Options(force=op.force, dry_run=op.dry, command=str(op))
        return copy.reset(session.site, session.match(*op.names), op.keys, how)

    def _copy_limits(self, session: Session, op: Op, _: Record | None) -> Account:
        return session.copy(*op.names, force=op.force, dry_run=op.dry)

    def _rename(self, session: Session, op: Op, _: Record | None) -> Account:
        return session.rename(*op.names)

    def _label(self, session: Session, op: Op, _: Record | None) -> None:
        pairs = {key: value for key, value in op.pairs if value}
        session.label(*op.names, labels=pairs, remove=[key for key, value in op.pairs if not value])

    def _attach(self, session: Session, op: Op, _: Record | None) -> Account:
        return session.attach(op.names[0], *(self.pids.get(name, 4194303) for name in op.names[1:]), thaw=op.thaw)

    def _rm(self, session: Session, op: Op, _: Record | None) -> None:
        session.remove(*op.names, kill=op.kill, dry_run=op.dry)

    def _apply(self, session: Session, op: Op, _: Record | None) -> Account:
        spec = Spec({name: Ve(decode(nest(dict(pairs)), session.host), dict(said)) for name, pairs, said in op.spec})
        return session.apply(spec, prune=op.prune, force=op.force, dry_run=op.dry).account

    def _undo(self, session: Session, op: Op, meant: Record | None) -> Account | None:
        if op.which and meant is None:
            raise NotFoundError("no such adjustment")
        wanted = self.ids[meant.number] if op.which and meant else None
        (undone,) = session.undo(wanted, force=op.force, dry_run=op.dry)
        return undone.account
