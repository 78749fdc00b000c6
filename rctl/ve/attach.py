"""Running processes moved into a VE."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..adjust.account import Account
from ..adjust.enabling import threaded
from ..adjust.engine import Options
from ..adjust.lifecycle import may_move
from ..adjust.site import Site
from ..adjust.steps import Move
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import NotAvailableError, NotFoundError, UsageError
from ..limits import Limits
from .bare import apply

_UNSET = Limits()


def attach(site: Site, name: str, pids: Sequence[int], options: Options, limits: Limits = _UNSET) -> Account:
    """Move processes into a VE, all or none; a managed one is made when it is not there. ``limits`` are set before.

    A process is known by its id and start time, so none is mistaken. Raises NotFoundError for one that is not there,
    KernelError when the kernel refuses one, NotAvailableError when the caller may not move one.
    """
    path = site.tree.path(name)
    if 1 in pids:
        raise UsageError("1: is the system's first process, and all others end with it. Attach others")
    for pid in pids:
        may_move.check(site.tree, pid, path)
    account = apply(site, {name: limits}, options, move=tuple(dict.fromkeys(pids)))[1]
    if not any(isinstance(step, Move) for one in account.outcomes for step in one.steps):
        return account
    note = f"{name}: memory that the processes have already stays charged where it was. Limits count what they take now"
    return msgspec.structs.replace(account, notes=(*account.notes, note))


def enter(ve: Cgroup) -> None:
    """Move the calling process into the VE. Its memory so far stays charged where it was. Raises RctlError."""
    threaded.check_enter(ve)
    ve.write(core.PROCS, "0")


def home(pid: int | str) -> Cgroup:
    """The cgroup in which a process is (``self``: the caller's), held open so that the process can be put back.

    Raises NotFoundError when there is no such process, NotAvailableError when its cgroup is not to be seen from here.
    """
    try:
        with Tree.open() as tree:
            path = tree.cgroup_of(pid)
            if path is not None:
                return tree.walk(path)
    except (FileNotFoundError, ProcessLookupError):
        raise NotFoundError(f"{pid}: there is no such process. See ps") from None
    raise NotAvailableError(
        f"{pid}: its cgroup lies outside this cgroup namespace or mount, so it could not be put back there. "
        "Move it alone, or run rctl outside the container"
    )
