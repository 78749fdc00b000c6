"""The policy by which each disk shares time among weights; without one, ``io.weight`` is taken and has no effect.

iocost obeys ``io.weight``, BFQ only ``io.bfq.weight``; ``controllers.io`` sets both
(https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files, block/bfq-cgroup.c).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..formats import nested_keyed
from .check import Check
from .host_files import Machine

_VIRTUAL = re.compile(r"(loop|ram|zram|sr|fd|nbd)[0-9]+")


class Disk(NamedTuple):
    """A disk. ``scheduler``: the one in force. ``iocost``: True if it is on; ``None`` if this kernel has none."""

    name: str
    number: str
    scheduler: str
    iocost: bool | None


def find(machine: Machine, qos: str | None) -> list[Disk]:
    """The whole disks that do not lie on others. ``qos``: the root's ``io.cost.qos``; ``None`` if it is missing."""
    on = nested_keyed(qos or "")
    found = []
    for name in machine.names("/sys/block"):
        place = f"/sys/block/{name}"
        if _VIRTUAL.fullmatch(name) or machine.names(f"{place}/slaves") or not int(machine.read(f"{place}/size") or 0):
            continue
        number = (machine.read(f"{place}/dev") or "?").strip()
        chosen = re.search(r"\[([\w-]+)\]", machine.read(f"{place}/queue/scheduler") or "")
        iocost = None if qos is None else on.get(number, {}).get("enable") == "1"
        found.append(Disk(name, number, chosen[1] if chosen else "none", iocost))
    return found


def checks(found: list[Disk], io: bool) -> list[Check]:
    """One check for each disk. ``io``: True if cgroup v2 has the io controller."""
    return [_check(disk, io) for disk in found] or [Check("disks", "info", "none")]


def _check(disk: Disk, io: bool) -> Check:
    title, what = f"disk {disk.name}", f"{disk.number}, scheduler {disk.scheduler}"
    if not io:
        return Check(title, "info", f"{what}; no limits without the io controller")
    if disk.iocost:
        return Check(title, "ok", f"{what}; iocost shares it by io.weight")
    if disk.scheduler == "bfq":
        return Check(title, "ok", f"{what}; BFQ shares it by io.bfq.weight, which rctl sets with io.weight")
    if disk.iocost is None:
        remedy = "For weights: modprobe bfq; echo bfq > /sys/block/DISK/queue/scheduler (io.max needs nothing)"
    else:
        remedy = 'For weights: echo "MAJOR:MINOR enable=1" > io.cost.qos in the cgroup2 root (io.max needs nothing)'
    return Check(title, "warn", f"{what}; io.weight has no effect", remedy)
