"""Bare VEs: a cgroup and limits, no root file system. Make, fill, empty, remove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from ..adjust.account import Account
from ..adjust.around import check_empty, make_below
from ..adjust.enabling import threaded
from ..adjust.engine import Options, adjust
from ..adjust.lifecycle import ending, entering, life
from ..adjust.planning import partitions
from ..adjust.request import Around
from ..adjust.site import Site
from ..adjust.steps import Make, Move, Remove
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import BusyError, GoneError, NotAvailableError, NotFoundError, RctlError, UsageError
from ..formats import NAMING, VE_NAME, as_typed, flat_keyed
from ..limits import Limits
from ..units import human_size

_UNSET = Limits()


def exists(tree: Tree, name: str) -> bool:
    """Whether there is such a VE. Raises UsageError for what is no name."""
    try:
        tree.open_ve(name).close()
    except NotFoundError:
        return False
    return True


def make(tree: Tree, name: str) -> Cgroup:
    """Make an empty managed VE and open it. One system call, which needs no journal.

    Raises UsageError for a foreign name, BusyError when it exists, NotAvailableError when the caller may not.
    """
    path = managed_path(tree, name)
    with tree.walk(path.rpartition("/")[0] or "/") as base:
        return make_below(tree, name, base)


def managed_path(tree: Tree, name: str) -> str:
    """The path of a managed VE. Raises UsageError for a foreign one, which is not rctl's to make or remove."""
    if VE_NAME.fullmatch(name) or name.startswith("/"):
        path = tree.path(name)
        if tree.name(path) != path:
            return path
        raise UsageError(f"{name}: not a VE of rctl's own. Give a plain name, such as web1")
    raise UsageError(f"{as_typed(name)}: not a name for a VE of rctl's own, such as web1. {NAMING}")


@contextmanager
def made_for(tree: Tree, names: Iterable[str]) -> Iterator[list[str]]:
    """Make the VEs that do not exist yet, and remove them again when what is done with them fails.

    One that has processes then, which somebody else put there, stays.
    """
    made: list[str] = []
    try:
        for name in names:
            if not exists(tree, name):
                make(tree, name).close()
                made.append(name)
        yield made
    except BaseException:
        for name in made:
            with suppress(BusyError, NotFoundError, GoneError):
                remove(tree, name)
        raise


def apply(site: Site, limits: Mapping[str, Limits], options: Options, **around: Any) -> tuple[list[str], Account]:
    """Make the managed VEs that are missing and set the limits of all, as one transaction.

    ``around``: what else is done in it, see ``Around``. Returns the names made and the account.
    """
    tree = site.tree
    names = [name for name in limits if tree.name(tree.path(name)) != tree.path(name)]
    account = adjust(tree, limits, site.host, options, site.progress, site.state, around=Around(make=names, **around))
    return [o.name for o in account.outcomes if any(isinstance(step, Make) for step in o.steps)], account


def remove(tree: Tree, name: str, kill: bool = False, seconds: float = 10.0) -> int:
    """Remove one managed VE and the cgroups below it, for who made it itself: no journal, no history.

    ``kill``: end its processes first. Returns how many were killed. Raises NotFoundError; BusyError while it holds
    processes and ``kill`` is not given, or they outlive ``seconds``.
    """
    managed_path(tree, name)
    with tree.open_ve(name) as ve:
        inside = life.processes(ve)
        if not kill:
            check_empty(name, inside)
        ending.take_away(ve, Remove(ve.path, kill), seconds)
    return len(inside)


def remove_all(site: Site, names: Sequence[str], options: Options, kill: bool = False) -> Account:
    """Remove managed VEs and the cgroups below them, as one transaction. ``kill``: end their processes first.

    Nothing is done when one of them is not there (NotFoundError), or has processes and ``kill`` is not given
    (BusyError). ``options.deadline``: seconds that processes may take to die.
    """
    for name in names:
        managed_path(site.tree, name)
    around = Around(remove=names, kill=kill)
    return adjust(site.tree, {}, site.host, options, site.progress, site.state, around=around)


def attach(site: Site, name: str, pids: Sequence[int], options: Options, limits: Limits = _UNSET) -> Account:
    """Move processes into a VE, all or none; a managed one is made when it is not there. ``limits`` are set before.

    A process is known by its id and start time, so none is mistaken. Raises NotFoundError for one that is not there,
    KernelError when the kernel refuses one, NotAvailableError when the caller may not move one.
    """
    path = site.tree.path(name)
    if 1 in pids:
        raise UsageError("1: is the system's first process, and all others end with it. Attach others")
    for pid in pids:
        entering.check(site.tree, pid, path)
    account = apply(site, {name: limits}, options, move=tuple(dict.fromkeys(pids)))[1]
    if not any(isinstance(step, Move) for one in account.outcomes for step in one.steps):
        return account
    note = f"{name}: memory that the processes have already stays charged where it was. Limits count what they take now"
    return msgspec.structs.replace(account, notes=(*account.notes, note))


def would_go(tree: Tree, name: str) -> str:
    """What ``remove`` would do to a VE, for people. Raises NotFoundError."""
    with tree.open_ve(name) as ve:
        inside = len(life.processes(ve))
        below = sum(1 for _ in life.family(ve)) - 1
    parts = [f"{inside} process(es) killed"] * bool(inside) + [f"{below} cgroup(s) below it as well"] * bool(below)
    return ", ".join(["would be removed", *parts])


def end(site: Site, name: str, ino: int, options: Options) -> str | None:
    """Remove a VE with all that is in it, unless somebody did so, or made another one of its name. See ``remove``.

    A partition beside it that is invalid for lack of its CPUs gets them. Returns the line of ``killed_for_memory``.
    """
    died = None
    freed: dict[str, set[int]] = {}
    with suppress(NotFoundError, GoneError), site.tree.open_ve(name) as ve:
        if ve.ino == ino:
            died = killed_for_memory(ve, name)
            cpus = partitions.cpus(ve)
            ending.take_away(ve, Remove(ve.path, kill=True), 10.0)
            freed = {ve.path.rpartition("/")[0] or "/": cpus} if cpus else {}
    if freed:
        try:
            account = adjust(site.tree, {}, site.host, options, site.progress, site.state, around=Around(freed=freed))
        except RctlError as error:  # the VE is gone, which is what was asked for
            site.tell(f"{name}: was removed; a partition beside it may still be invalid: {error}")
        else:
            for note in account.notes:
                site.tell(note)
    return died


def killed_for_memory(ve: Cgroup, name: str) -> str | None:
    """A line for people when the kernel has killed in the VE for lack of memory (``memory.events``)."""
    killed = flat_keyed(ve.read_if_there("memory.events") or "").get("oom_kill", 0)
    if not killed:
        return None
    limit = (ve.read_if_there("memory.max") or "max").strip()
    cause = "" if limit == "max" else f" (memory.max is {human_size(int(limit))})"
    return f"{name}: out of memory: the kernel killed {killed} process(es){cause}. Raise memory.max, or see rctl show"


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
