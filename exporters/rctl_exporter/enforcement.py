"""Limits in force that this host does not enforce, for thousands of VEs, at next to no cost.

The facts of the host are read every ``EVERY`` seconds, and only those on which a limit depends. The threads and huge
pages of VEs are looked at first of all VEs, later of ``TURN`` VEs each time, by turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.policies import policies
from rctl.cgroupfs.tree import Tree
from rctl.controllers import cpu, hugetlb, io, memory
from rctl.errors import RctlError
from rctl.host import Host
from rctl.not_enforced import HUGETLB, Conditions, Policies
from rctl.sample.in_force import iocost_disks, not_enforced
from rctl.sample.limits_in_force import Standing
from rctl.sample.member import Member

EVERY = 30.0
TURN = 64
Reasons = tuple[tuple[str, str], ...]
"""Setting (``cpu.max``, ``io.weight 8:0``) and reason (``not_enforced.REASONS``)."""


class _Inside(NamedTuple):
    """What was seen inside a VE: its threads' policies, and bytes of huge pages."""

    policies: Policies
    huge: int


_NOTHING = _Inside({}, 0)


class Enforcement:
    """The reasons by VE. ``version`` changes when they do."""

    def __init__(
        self, tree: Tree, clock: Callable[[], float] = time.monotonic, read_host: Callable[[], Host] = this_host
    ) -> None:
        self.version = 0
        self._tree, self._clock, self._read_host = tree, clock, read_host
        self._due = float("-inf")
        self._host = read_host()
        self._disks: Callable[[], frozenset[str]] = frozenset
        self._stands: Mapping[Member, Standing] = {}
        self._inside: dict[Member, _Inside] = {}
        self._turn = -1
        self._found: dict[Member, tuple[Standing, Reasons]] = {}

    def refresh(self, stands: Mapping[Member, Standing]) -> None:
        """Look again, if it is time, or if limits changed."""
        due = self._clock() >= self._due
        if not due and stands is self._stands:
            return
        known = self._found
        if due:
            self._due, known = self._clock() + EVERY, {}
            self._host, self._disks = self._read_host(), cache(lambda: iocost_disks(self._tree.root))
            self._look_inside(stands)
        found = {
            member: old if (old := known.get(member)) and old[0] is standing else (standing, self._of(member, standing))
            for member, standing in stands.items()
        }
        if [reasons for _, reasons in found.values()] != [reasons for _, reasons in self._found.values()]:
            self.version += 1
        self._stands, self._found = stands, found

    def reasons(self, member: Member) -> Reasons:
        """The limits of a VE that are not enforced."""
        return self._found[member][1] if member in self._found else ()

    def _of(self, member: Member, standing: Standing) -> Reasons:
        inside = self._inside.get(member, _NOTHING)
        on = Conditions(
            self._host,
            self._disks,
            lambda: io.BFQ_WEIGHT.name in member.node.names(),
            lambda: inside.policies,
            lambda: inside.huge,
            HUGETLB in self._tree.mount.options,
        )
        return tuple((f"{one.limit} {one.device}".strip(), one.reason) for one in not_enforced(standing.limits, on))

    def _look_inside(self, stands: Mapping[Member, Standing]) -> None:
        """Look at the threads and huge pages of the VEs whose turn it is."""
        those = [member for member, standing in stands.items() if _depends(standing.limits)]
        first, self._turn = self._turn < 0, max(self._turn, 0)
        start = 0 if first or self._turn >= len(those) else self._turn
        chosen = those if first else those[start : start + TURN]
        self._turn = start + len(chosen)
        self._inside = {member: self._inside[member] for member in those if member in self._inside}
        for member in chosen:
            if (found := self._look(member)) == _NOTHING:
                self._inside.pop(member, None)
            else:
                self._inside[member] = found

    def _look(self, member: Member) -> _Inside:
        try:
            with self._tree.walk(member.node.cgroup.path) as ve:
                huge = hugetlb.in_use(ve.texts(hugetlb.files(ve.files()))) if self._host.hugetlb else 0
                return _Inside(policies(ve), huge)
        except (RctlError, OSError):  # removed meanwhile, or not for this user to read
            return _NOTHING


def _depends(limits: Mapping[str, str]) -> bool:
    """True if a limit depends on what is inside the VE."""
    return not limits.get(cpu.MAX.name, "max").startswith("max") or any(
        limits.get(file.name, "max").strip() != "max" for file in (memory.MAX, memory.HIGH)
    )
