"""Moves running processes into a VE."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

import msgspec

from ..adjust import owner
from ..adjust.account import Account
from ..adjust.enabling import threaded
from ..adjust.engine import Options
from ..adjust.lifecycle import may_move, processes, ve_cgroup
from ..adjust.site import Site
from ..adjust.steps import Move
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import NotAvailableError, NotFoundError, UsageError
from ..formats import VE_NAME
from ..limits import Limits
from .bare import apply, exists

_UNSET = Limits()


def attach(site: Site, name: str, pids: Sequence[int], options: Options, limits: Limits = _UNSET) -> Account:
    """Move processes into a VE, all or none. Makes a managed VE if it is missing. ``limits`` are set before.

    A process is identified by its id and start time. Raises NotFoundError for a missing process, KernelError if the
    kernel refuses one, NotAvailableError if the caller may not move one; UsageError for a new VE with the name of a
    unit or a container.
    """
    path = site.tree.path(name)
    if 1 in pids:
        raise UsageError("1: is the system's first process, and must not be moved. Attach others")
    _check_name(site.tree, name)
    for pid in pids:
        may_move.check(site.tree, pid, path)
    account = apply(site, {name: limits}, options, move=tuple(dict.fromkeys(pids)))[1]
    moves = [step for one in account.outcomes for step in one.steps if isinstance(step, Move)]
    if not moves:
        return account
    notes = [
        f"{name}: memory that the processes hold already stays charged to their old cgroup. Limits count new memory"
    ]
    if moves[0].home == moves[0].path:
        notes.append(f"{name}: undo cannot move process {moves[0].pid} back into its old cgroup, and leaves it here")
    return msgspec.structs.replace(account, notes=(*account.notes, *notes, *_left_services(site.tree, moves)))


def _check_name(tree: Tree, name: str) -> None:
    """Raise UsageError for a new VE with the name of a unit or a container: people mean that one."""
    if not owner.applies() or not VE_NAME.fullmatch(name) or exists(tree, name):
        return
    from ..names.look_up import Elsewhere

    found = [one.name for one in Elsewhere(tree).all_of(name) if not one.id.startswith(name)]
    if found:
        names = " or ".join(found)
        raise UsageError(
            f"{name}: stands for {names}, and rctl moves processes into VEs of its own alone. "
            "Choose another name for the VE"
        )


def _left_services(tree: Tree, moves: Sequence[Move]) -> list[str]:
    """A note for each service that processes have left."""
    moved = {step.pid for step in moves}
    return [
        f"{unit}: these processes are no longer a part of this service, so systemd does not end them with it. "
        f"{_who_stays(tree, home, moved)}"
        f"To limit the whole service instead, use: rctl undo, then rctl set {unit} KEY=VALUE"
        for home in dict.fromkeys(step.home for step in moves)
        if (unit := owner.service_of(tree, home))
    ]


def _who_stays(tree: Tree, home: str, moved: Collection[int]) -> str:
    """A sentence about the processes, such as workers, that stay in the service; empty if none does."""
    try:
        with tree.walk(home) as cgroup:
            count = len({*processes.processes(cgroup)} - {*moved})
    except NotFoundError:  # systemd removed it with its last process
        return ""
    return f"{count} other process(es) stay in it, without the limits of the VE. " if count else ""


def enter(ve: Cgroup) -> None:
    """Move the calling process into the VE. Its memory so far stays charged to its old cgroup. Raises RctlError."""
    threaded.check_enter(ve)
    ve_cgroup.enter(ve, 0)


def home(tree: Tree) -> Cgroup | None:
    """The calling process's cgroup, open, so that the process can be put back; ``None``: not to be opened from here.

    It may lie outside this cgroup namespace, or below another file system that is mounted over a cgroup.
    """
    path = tree.cgroup_of("self")
    with suppress(NotFoundError, NotAvailableError):
        return tree.walk(path) if path else None
    return None
