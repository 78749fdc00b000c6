"""The steps around the limits: VEs are made before; processes move in, a command starts, VEs are removed after."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..cgroupfs import cgroup_limits
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import (
    READ_ONLY,
    BusyError,
    GoneError,
    KernelError,
    NotAvailableError,
    NotFoundError,
    UsageError,
    note_outcome,
)
from ..signals import undisturbed
from . import owner
from .enabling import disable, threaded
from .enabling.enable import enable
from .lifecycle import freeze, may_move, processes, remove, ve_cgroup
from .planning import partitions
from .records.journal import Journal, new_id
from .records.record_format import Record
from .recovery.rollback import put_all_back
from .request import Around
from .site import Site
from .steps import Enable, Make, Move, Remove, Start, Step

_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def made(
    site: Site, command: str, names: Sequence[str], base: Cgroup, instead: str = ""
) -> Iterator[tuple[Journal, Mapping[str, Cgroup]]]:
    """Make VEs below ``base``. A journal is written first, so a crash leaves none. They are removed if the block
    raises.

    Yields the journal, which the block must extend and close, and the VEs by name. A VE that has processes or children
    by then, because another program put them there, stays. Raises BusyError if one exists, and NotAvailableError if the
    caller may not make it.
    """
    tree = site.tree
    steps = tuple(Make(tree.path(name), tree.path(instead) if instead else "") for name in names)
    record = Record(new_id(), time.time(), site.boot_id, command, {base.path: base.ino}, steps)
    journal: Journal | None = None
    found: dict[str, Cgroup] = {}
    try:
        with undisturbed():
            journal = Journal(site.state, record)
        for name in names:
            with undisturbed():  # a Ctrl-C must not come between making the VE and noting it
                found[name] = make_below(tree, name, base)
        yield journal, found
    except BaseException as failure:
        if journal and journal.open and not journal.begun:
            for ve in found.values():
                with suppress(BusyError, NotFoundError, GoneError):
                    processes.unmake(ve)
            journal.close(done=False)
            note_outcome(failure, "was put back")
        elif journal:
            journal.let_go(failure)
        raise
    finally:
        for ve in found.values():
            ve.close()


@contextmanager
def enabled_first(
    journal: Journal, steps: Sequence[Enable], cgroups: Mapping[str, Cgroup], *, made: bool
) -> Iterator[None]:
    """Enable controllers before the rest is planned; they are disabled again if the block raises.

    ``journal`` knows of them already. ``made``: the journal comes from ``made()``, which closes it. Raises RctlError.
    """
    done: list[Enable] = []
    try:
        for step in steps:
            done.append(step)
            enable(cgroups[step.path], step)
        yield
    except BaseException as failure:
        if journal.open and not journal.begun:
            if in_doubt := put_all_back(done, cgroups, 0, failure):
                journal.abandon()
                raise in_doubt from failure
            if not made:
                journal.close(done=False)
                note_outcome(failure, "was put back")
        raise


def make_below(tree: Tree, name: str, base: Cgroup) -> Cgroup:
    """Make an empty managed VE and open it. Raises as ``made``."""
    path = tree.path(name)
    owner.check_if_applies(tree, path)
    try:
        return ve_cgroup.make(base, path, f"VE {name} of rctl")
    except KernelError as error:
        if error.errno not in _NO_RIGHT:
            raise cgroup_limits.explained(base, path.rpartition("/")[2], error) from None
        raise _may_not_make(name, base, error.errno) from None


def check_make(tree: Tree, names: Sequence[str], base: Cgroup) -> None:
    """Check before ``made``: raises as it does, and makes nothing."""
    for name in names if owner.applies() else ():
        owner.check(tree, tree.path(name))
        ve_cgroup.check_make(tree.path(name))
    try:
        if names:
            base.check_write(".", names[0], "cannot be made")
    except KernelError as error:
        raise _may_not_make(names[0], base, error.errno) from None
    cgroup_limits.check(base, [tree.path(name).rpartition("/")[2] for name in names])


def _may_not_make(name: str, base: Cgroup, number: int) -> NotAvailableError:
    why = f"{os.strerror(number).lower()}. Run as root, or set RCTL_TREE to a cgroup that you own"
    return NotAvailableError(f"{name}: cannot be made below {base.path}: {READ_ONLY if number == errno.EROFS else why}")


def after(around: Around, tree: Tree, opened: Sequence[Cgroup], before: Sequence[Step] = ()) -> tuple[Step, ...]:
    """The steps after the limits; ``before``: the steps of the limits.

    Raises RctlError for a label that was changed since; NotFoundError for a missing process; UsageError for a thread;
    BusyError for a VE in use or frozen, and for one to which processes must return and that gives controllers to its
    children by now; KernelError for one that the caller may not label or remove.
    """
    steps: list[Step] = []
    if around.labels or around.labelled:
        from .lifecycle import labels

        steps += labels.steps(around, tree, opened)
    if around.move or around.start:
        threaded.check_enter(opened[0])
        freeze.check_enter(opened[0], before)
    if around.move:
        path = opened[0].path
        for pid in around.move:
            processes.check_whole(pid)
        moves = [Move(path, pid, processes.started(pid), _home(tree, pid, path) or path) for pid in around.move]
        lost = [step.pid for step in moves if step.home == path and not processes.is_in(opened[0], step)]
        if lost and len(moves) > 1:
            raise NotAvailableError(
                f"{lost[0]}: could not be put back into its cgroup, which lies outside this cgroup namespace or mount, "
                "or belongs to the system's systemd. Move each process alone"
            )
        steps += [step for step in moves if not processes.is_in(opened[0], step)]
    for step in around.back:
        with tree.walk(step.path) as home:
            threaded.check_enter(home)
    steps += around.back
    if around.start:
        steps.append(Start(opened[0].path, around.passing))
    leave, leaving = {tree.path(name) for name in around.remove}, {step.pid for step in around.back}
    for ve in opened if leave else ():
        if ve.path in leave:
            steps.append(_remove(tree.name(ve.path), ve, around.kill, leaving))
    return tuple(steps)


def _remove(name: str, ve: Cgroup, kill: bool, leaving: Collection[int]) -> Remove:
    inside = [pid for pid in processes.processes(ve) if pid not in leaving]
    if kill and os.getpid() in inside:
        raise UsageError(f"{name}: this rctl runs in it, and would end, too. Run it from outside")
    if not kill:
        check_empty(name, inside)
    processes.check_remove(ve, kill and bool(inside))
    return Remove(ve.path, kill, len(inside))


def _home(tree: Tree, pid: int, path: str) -> str | None:
    """The cgroup of a process; ``None`` if it can be taken from there to ``path``, but not put back.

    So it is outside this mount, and where only a user's systemd can take it away.
    """
    try:
        home = tree.cgroup_of(pid)
        return home if home is None or may_move.may_return(tree, home, path) else None
    except (FileNotFoundError, ProcessLookupError):
        raise NotFoundError(f"{pid}: there is no such process. See ps") from None


def check_empty(name: str, inside: Sequence[int]) -> None:
    """Raise BusyError if there are processes inside."""
    if inside:
        raise BusyError(
            f"{name}: has {len(inside)} process(es), the first is {inside[0]}. Stop them, or use rctl rm --kill"
        )


def removed(
    removes: Sequence[Remove], steps: Sequence[Step], cgroups: Mapping[str, Cgroup], deadline: float
) -> list[str]:
    """Remove VEs, and run the steps after the first of these. Failures are notes for people."""
    after = steps[steps.index(removes[0]) :]
    notes = remove.take_all_away(removes, cgroups, deadline)
    return notes + partitions.renew_all(after, cgroups) + disable.take_all_back(steps, cgroups)
