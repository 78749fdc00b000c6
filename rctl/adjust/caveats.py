"""What the kernel accepts and does not do: said after an adjustment, so that nobody relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import cpuset, io
from ..errors import RctlError
from ..units import Ranges
from .plan import Set, Step


def caveats(tree: Tree, steps: Sequence[Step], cgroups: Mapping[str, Cgroup]) -> list[str]:
    """A line for each limit that was written and is not, or not fully, in effect."""
    found = []
    for step in steps:
        if isinstance(step, Set) and step.file in _ASKED:
            with suppress(RctlError):  # the limits stand; a VE that went meanwhile needs no word
                found += _ASKED[step.file](tree, step, cgroups[step.path])
    return list(dict.fromkeys(found))


def _offline(tree: Tree, step: Set, ve: Cgroup) -> list[str]:
    wanted = set(Ranges.parse(step.new).numbers)
    effective = Ranges.parse(ve.read(f"{step.file}.effective"))
    if wanted <= set(effective.numbers):
        return []
    return [
        f"{ve.path}: {step.file} is {step.new}; only {effective} is in effect, the rest is offline or not the parent's"
    ]


def _no_policy(tree: Tree, step: Set, ve: Cgroup) -> list[str]:
    costs = tree.root.read_if_there("io.cost.qos") or ""
    if "enable=1" in costs or ve.has(io.BFQ_WEIGHT.name):
        return []
    return ["io.weight: accepted, and without effect: no disk uses iocost or BFQ. See rctl doctor"]


_ASKED = {cpuset.CPUS.name: _offline, cpuset.MEMS.name: _offline, io.WEIGHT.name: _no_policy}
