"""Removes VEs: by name, as one transaction, or after their command has ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ..adjust.account import Account, Outcome
from ..adjust.engine import adjust
from ..adjust.lifecycle import processes
from ..adjust.lifecycle.remove import take_away
from ..adjust.planning import partitions
from ..adjust.request import Around, Options
from ..adjust.site import Site
from ..adjust.steps import Remove
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError, RctlError, UsageError
from ..formats import flat_keyed
from ..units import human_size
from . import bare
from .bare import managed_path

_OTHERS = {"docker": "docker rm -f", "podman": "podman rm -f", "unit": "systemctl stop", "pod": "", "user": ""}
"""The beginnings of names of what others remove, and how."""
NOT_THERE, LEFT_ALONE = "not there", "left alone"


class Removal(msgspec.Struct, frozen=True):
    """``told``: by name, a line for people about each VE. ``notes``: for people, too."""

    told: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """True if no VE was missing, and all are gone now."""
        return not {NOT_THERE, LEFT_ALONE}.intersection(self.told.values())


def check_own(names: Sequence[str]) -> None:
    """Check that no name is that of a container, a unit, a pod or a user. Raises UsageError with the right command."""
    for name in names:
        kind, colon, rest = name.partition(":")
        if colon and kind in _OTHERS:
            raise UsageError(f"{name}: rctl rm removes only VEs of rctl's own{_instead(kind, rest)}")


def _instead(kind: str, name: str) -> str:
    """A sentence with the command that removes or stops what others made; empty if there is none."""
    if not (how := _OTHERS[kind]):
        return ""
    user, _, plain = name.rpartition("/")
    if user and kind == "unit":
        how = how.replace("systemctl", f"systemctl --user --machine={user}@")
    return f". {f'As user {user}, use' if user and kind != 'unit' else 'Use'}: {how} {plain}"


def _of_others(tree: Tree, names: Sequence[str]) -> list[str]:
    """A note for each name that no VE of rctl's own has, and that stands for something else."""
    notes: list[str] = []
    if names:
        from ..names.look_up import Elsewhere

        elsewhere = Elsewhere(tree)
        for name in names:
            for one in elsewhere.all_of(name):
                kind, colon, rest = one.name.partition(":")
                what, rest = (kind, rest) if colon else ("unit", one.name)
                if what in _OTHERS and "/" not in rest[:1]:
                    notes.append(f"{name}: is {one.name}, which rctl rm leaves alone{_instead(what, rest)}")
    return notes


def remove(site: Site, names: Sequence[str], options: Options, *, kill: bool) -> Removal:
    """Remove VEs. ``kill``: end their processes first. A missing VE is reported; the others are removed.

    Raises BusyError if one has processes and ``kill`` is not set, and removes none then; UsageError for a foreign VE.
    """
    there = [name for name in names if bare.managed_path(site.tree, name) and bare.exists(site.tree, name)]
    account = remove_all(site, there, options, kill)
    told = dict.fromkeys(names, NOT_THERE)
    for one in account.outcomes:
        told[one.name] = would_go(site.tree, one.name) if options.dry_run else _removed(one)
    missing = [name for name in names if name not in there]
    return Removal(told, (*account.notes, *_of_others(site.tree, missing)))


def _removed(outcome: Outcome) -> str:
    killed = sum(getattr(step, "inside", 0) for step in outcome.steps) if outcome.status == "removed" else 0
    return f"removed, {killed} process(es) killed" if killed else outcome.status


def remove_all(site: Site, names: Sequence[str], options: Options, kill: bool = False) -> Account:
    """Remove managed VEs and the cgroups below them, as one transaction. ``kill``: end their processes first.

    Nothing is done if one of them is missing (NotFoundError), or has processes and ``kill`` is not set (BusyError).
    ``options.deadline``: seconds that processes may take to die.
    """
    for name in names:
        managed_path(site.tree, name)
    return adjust(site, {}, options, around=Around(remove=names, kill=kill))


def would_go(tree: Tree, name: str) -> str:
    """The effect of ``remove`` on a VE, as a line for people. Raises NotFoundError."""
    with tree.open_ve(name) as ve:
        inside = len(processes.processes(ve))
        below = sum(1 for _ in processes.family(ve)) - 1
    parts = [f"{inside} process(es) killed"] * bool(inside) + [f"{below} cgroup(s) below it as well"] * bool(below)
    return ", ".join(["would be removed", *parts])


def end(site: Site, name: str, ino: int, options: Options) -> str | None:
    """Remove a VE with all that is in it, unless it is gone already, or its name belongs to another VE. See ``remove``.

    A sibling's partition that is invalid because of its CPUs gets them. Returns the line of ``killed_for_memory``.
    """
    died = None
    freed: dict[str, set[int]] = {}
    with suppress(NotFoundError, GoneError), site.tree.open_ve(name) as ve:
        if ve.ino == ino:
            died = killed_for_memory(ve, name)
            cpus = partitions.cpus(ve)
            take_away(ve, Remove(ve.path, kill=True), 10.0)
            freed = {ve.path.rpartition("/")[0] or "/": cpus} if cpus else {}
    if freed:
        try:
            account = adjust(site, {}, options, around=Around(freed=freed))
        except RctlError as error:  # the VE is gone, as wanted
            site.tell(f"{name}: was removed; a partition beside it may still be invalid: {error}")
        else:
            for note in account.notes:
                site.tell(note)
    return died


def killed_for_memory(ve: Cgroup, name: str) -> str | None:
    """A line for people if the kernel has killed processes of the VE for lack of memory (``memory.events``)."""
    killed = flat_keyed(ve.read_if_there("memory.events") or "").get("oom_kill", 0)
    if not killed:
        return None
    limit = (ve.read_if_there("memory.max") or "max").strip()
    cause = "" if limit == "max" else f" (memory.max is {human_size(int(limit))})"
    return f"{name}: out of memory: the kernel killed {killed} process(es){cause}. Raise memory.max, or see rctl show"
