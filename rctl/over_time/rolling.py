"""A rolling change: batch by batch, each all or nothing, with a check of each VE and one budget of failures.

Each batch is one transaction of the engine, and its record carries the id of the change: so ``undo`` takes back all of
them at once. What was done is on disk (``change_log``), so a change that was stopped, by whatever, can go on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from ..adjust.account import Account
from ..adjust.records.changes import is_undone, last_number
from ..adjust.request import Options
from ..adjust.site import Site
from ..adjust.steps import ChangePart
from ..adjust.undoing.choose import standing_change
from ..adjust.undoing.concerned import paths
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError, RctlError, RollbackError, UsageError
from . import timers
from .batches import batches
from .change_log import ChangeLog, Line, RollRequest
from .check_command import CheckCommand
from .taking_back import settle, take_back

Do = Callable[[Sequence[str], Options], Account]
"""Changes one batch: the VEs by name, and the options of its transaction."""
Status = Literal["done", "kept", "put back", "planned"]
_NEWEST = 1000
"""Most records of the history that are searched for one that was just written."""
_WORD = re.compile(r"[^\w./@+-]+|[:.](?= |$)")


class StoppedError(RctlError):
    """The change could not go on, and what was done stays."""

    exit_status = 4


class UndoneError(RctlError):
    """Another process undid the change while it ran."""


class RollEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event. ``event``: ``begin``, ``set`` (limits were written), ``batch`` (one is over, and checked) or ``end``.

    ``id``: of the change. ``ves``: their number; ``done``, ``failures``: so many so far. ``batch`` of ``batches``;
    ``names``: its VEs. ``account``: of its transaction; ``failed``: why, by VE. ``seconds`` since the begin.
    ``status``: of the end. ``gone``: VEs of the batch that were removed meanwhile.
    """

    event: Literal["begin", "set", "batch", "end"]
    id: str
    ves: int
    done: int = 0
    failures: int = 0
    batch: int = 0
    batches: int = 0
    names: tuple[str, ...] = ()
    account: Account | None = None
    failed: dict[str, str] = {}
    seconds: float = 0.0
    status: str = ""
    gone: tuple[str, ...] = ()


class Rolled(msgspec.Struct, frozen=True):
    """How a rolling change ended.

    ``status``: ``done``, all VEs; ``kept``: it was stopped, or VEs failed, and what was done stays; ``put back``:
    nothing is changed; ``planned``: a dry run. ``done``: the VEs that are done. ``failed``: why, by VE; if a batch
    failed and the error names no VE, under its first one. ``left``: the VEs whose turn did not come. ``gone``: VEs that
    were removed meanwhile, which is no failure. ``until``: when the old values come back, in seconds since 1970;
    ``None``: they do not.
    """

    id: str
    status: Status
    done: tuple[str, ...]
    failed: dict[str, str]
    left: tuple[str, ...]
    seconds: float
    gone: tuple[str, ...] = ()
    until: float | None = None


class Rolling:
    """A rolling change that begins or goes on, with its open log."""

    def __init__(
        self,
        site: Site,
        log: ChangeLog,
        do: Do,
        check: CheckCommand | None,
        each: Callable[[RollEvent], object],
        gone: Sequence[str] = (),
    ) -> None:
        """``each`` is called with each event. ``gone``: VEs that are known to be removed."""
        self._site, self._log, self._do, self._check, self._each = site, log, do, check, each
        self._asked = log.request
        self._begin = time.monotonic()
        self._number = last_number(site.state, self._asked.id, site.boot_id) + 1 if log.resumed else 1
        self._wrote = False
        self._until: float | None = None
        self._done: dict[str, None] = dict.fromkeys(log.done)
        self._failed: dict[str, str] = {}
        self._gone: dict[str, None] = dict.fromkeys(name for name in gone if name not in log.done)
        left = [name for name in self._asked.ves if name not in log.done and name not in self._gone]
        self._plan = batches(left, self._asked.batch, len(self._asked.ves))

    def run(self) -> Rolled:
        """All batches, until the budget of failures is spent.

        Raises RollbackError if something could not be put back, UndoneError if another process undid the change,
        StoppedError if it could not go on; KeyboardInterrupt with a note that says what became of the change.
        """
        try:
            self._tell("begin", names=tuple(self._asked.ves))
            enough = self._batches()
            if enough and self._asked.on_abort == "undo":
                return self._ended(self.put_back())
            return self._ended("done" if not self._failed else "kept" if self._changed() else "put back")
        except UndoneError:
            self._log.add(Line(undone=True, ended="put back"))
            raise
        except RollbackError:
            raise
        except RctlError as error:  # its log, or the history, cannot be written or read
            raise StoppedError(
                f"{error}. {self._asked.id}: stopped; to take back what was done: {self._undo}"
            ) from None
        except KeyboardInterrupt as stop:
            stop.add_note(self._stopped(stop))
            raise

    @property
    def _how(self) -> Options:
        """The options of an undo of the whole change."""
        return Options(self._asked.deadline, self._asked.wait, command=self._asked.command)

    @property
    def _undo(self) -> str:
        return f"rctl undo {self._asked.id}"

    def _batches(self) -> bool:
        """True if the budget was spent."""
        for number, names in enumerate(self._plan, 1):
            if number > 1 and self._asked.pause:
                time.sleep(self._asked.pause)
            if self._wrote and is_undone(self._site.state, self._asked.id, self._site.boot_id):
                raise UndoneError(
                    f"{self._asked.id}: was undone by another process, so the other batches were not begun"
                )
            reached, failed = self._batch(number, self._present(names))
            if self._check:
                failed |= self._checked(number, reached)
            self._failed |= failed
            fine = tuple(name for name in reached if name not in failed)
            gone = tuple(name for name in names if name in self._gone)
            self._done |= dict.fromkeys(fine)
            self._log.add(Line((*fine, *gone), failed))
            self._tell("batch", number, fine, failed=failed, gone=gone)
            if self._left() <= 0:
                return True
        return False

    def _present(self, names: Sequence[str]) -> list[str]:
        """The VEs that are still there; the others were removed, and are no failure. Those to be made are present."""
        found = []
        tree, makes = self._site.tree, self._asked.verb == "apply"
        for name in names:
            ino = self._asked.ves[name]
            if not ino or is_there(tree, name, ino) or (makes and tree.managed(tree.path(name))):
                found.append(name)
            else:
                self._gone[name] = None
        return found

    def _left(self) -> int:
        """How many failures the budget still allows, the last of which ends the change."""
        return self._asked.abort_after - len(self._failed)

    def _batch(self, number: int, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Set the limits of one batch. Returns the VEs that have them, and why others have not.

        If the batch fails, nothing of it is changed. Then its VEs are done one by one, as long as the budget allows.
        """
        if not names:
            return [], {}
        try:
            self._set(number, names)
            return list(names), {}
        except RollbackError:
            raise
        except RctlError as error:
            self._number = self._next_number()
            if isinstance(error, GoneError | NotFoundError) and len(left := self._present(names)) < len(names):
                return self._batch(number, left)
            failed = {culprit(self._site.tree, names, error): str(error)}
            if len(names) == 1 or self._left() <= 1:
                return [], failed
        reached, failed = [], {}
        for name in names:
            if len(failed) >= self._left():
                break
            try:
                self._set(number, [name])
                reached.append(name)
            except RollbackError:
                raise
            except RctlError as error:
                self._number = self._next_number()
                failed[name] = str(error)
        return reached, failed

    def _set(self, number: int, names: Sequence[str]) -> None:
        asked = self._asked
        part = ChangePart(asked.id, self._number)
        until = None if asked.lasting is None else time.time() + asked.lasting
        how = Options(asked.deadline, asked.wait, asked.force, command=asked.command, part=part, until=until)
        account = self._do(names, how)
        if until is not None:
            account, self._until = timers.noted(account), until
        # The record of values that were there already has a number, too, but no account of its own.
        self._number = self._next_number() if account.id is None else self._number + 1
        self._wrote |= account.id is not None
        self._tell("set", number, tuple(names), account=account)

    def _next_number(self) -> int:
        """After an error, which may have come when the record was written already."""
        return max(self._number, last_number(self._site.state, self._asked.id, self._site.boot_id, _NEWEST) + 1)

    def _checked(self, number: int, names: Sequence[str]) -> dict[str, str]:
        """Why the checks of these VEs failed."""
        assert self._check
        tree = self._site.tree
        environments = {name: environment(tree, name, self._asked.id, number) for name in names}
        return {name: f"the check failed: {why}" for name, why in self._check.run(environments) if why}

    def put_back(self, stop: BaseException | None = None) -> Status:
        """Take back what was done. Raises RollbackError if that fails: then all of it stays."""
        try:
            take_back(self._site, self._how, self._asked.id, stop)
        except NotFoundError:
            if self._changed():
                raise
        except RctlError as error:
            self._log.add(Line(ended="kept"))
            raise RollbackError(
                f"{self._asked.id}: was to be put back, and stays: {error}. Then: {self._undo}"
            ) from error
        self._log.add(Line(undone=True))
        self._done.clear()
        return "put back"

    def _changed(self) -> bool:
        """True if a VE is changed by this change now."""
        return standing_change(self._site.state, self._asked.id) is not None

    def _ended(self, status: Status) -> Rolled:
        if status == "done":
            self._log.remove()
        else:
            self._log.add(Line(ended=status))
        over = {**self._done, **self._failed, **self._gone}
        left = tuple(name for name in self._asked.ves if name not in over)
        self._tell("end", status=status, failed=self._failed)
        seconds = time.monotonic() - self._begin
        return Rolled(
            self._asked.id, status, tuple(self._done), self._failed, left, seconds, tuple(self._gone), self._until
        )

    def _stopped(self, stop: KeyboardInterrupt) -> str:
        """What became of the change when a signal stopped it, for people."""
        asked = self._asked
        if asked.on_abort == "undo":
            self.put_back(stop)
            return f"{asked.id} was put back"
        settle(self._site, self._how, stop)
        record = standing_change(self._site.state, asked.id)
        if record is None:
            return f"nothing was changed; go on: rctl {asked.verb} --retry {asked.id}"
        self._log.add(Line(ended="interrupted"))
        return (
            f"{len(paths(record))} of {len(asked.ves)} VEs are changed and stay; go on: {retry(asked)}; "
            f"take back: {self._undo}"
        )

    def _tell(
        self,
        event: Literal["begin", "set", "batch", "end"],
        batch: int = 0,
        names: tuple[str, ...] = (),
        *,
        account: Account | None = None,
        failed: Mapping[str, str] = {},
        gone: tuple[str, ...] = (),
        status: str = "",
    ) -> None:
        self._each(
            RollEvent(
                event, self._asked.id, len(self._asked.ves), len(self._done), len(self._failed), batch,
                len(self._plan), names, account, dict(failed), round(time.monotonic() - self._begin, 3), status, gone,
            )
        )  # fmt: skip


def is_there(tree: Tree, name: str, ino: int) -> bool:
    """True if the VE exists, and is not another one of the same name."""
    try:
        with tree.open_ve(name) as ve:
            return ve.ino == ino
    except (GoneError, NotFoundError, UsageError):  # the last: the name of a container that is gone
        return False


def retry(asked: RollRequest) -> str:
    """The command that goes on with a change, for people."""
    return f"rctl {asked.verb} {'FILE ' if asked.verb == 'apply' else ''}--retry {asked.id}"


def culprit(tree: Tree, names: Sequence[str], error: RctlError) -> str:
    """The VE that an error is about: the first that its text names; the first of the batch if it names none."""
    text = str(error)
    words = set(_WORD.split(text))
    found = (name for name in names if name in words or tree.path(name) in words or text.startswith(f"{name}: "))
    return next(found, names[0])


def environment(tree: Tree, name: str, change: str, batch: int) -> dict[str, str]:
    """What the check of a VE finds in its environment."""
    path = tree.path(name)
    return {
        "RCTL_VE": name,
        "RCTL_CGROUP": path,
        "RCTL_PATH": f"{tree.mount.point.rstrip('/')}{path}",
        "RCTL_CHANGE": change,
        "RCTL_BATCH": str(batch),
    }
