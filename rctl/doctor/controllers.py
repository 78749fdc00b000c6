"""The controllers of cgroup v2 here, the holders of the others, and the interface files of this kernel. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from .. import limits
from ..adjust.owner import HANDED_DOWN, TO_USERS
from ..controllers.memory import SWAP
from .check import Check
from .mounts import NO_V1

_FOR_VCPUS = ("cpu", "cpuset")
_V1_NAMES = {"io": "blkio"}
_MAIN = ("memory", "cpu", "pids")
_SWAP_OFF = {
    False: "switched off at boot (swapaccount=0)",
    None: "swapaccount=0 is on the kernel's command line. If this kernel obeys it",
}
_SWAP_REMEDY = "Take swapaccount=0 off the kernel's command line, and reboot"


class WantedFile(NamedTuple):
    """An interface file that matters: its controller, the first Linux that has it, and what is lost without it."""

    name: str
    controller: str
    since: str
    without: str


FILES = (
    WantedFile("cgroup.kill", "", "5.14", "VEs are killed process by process"),
    WantedFile("memory.reclaim", "memory", "5.19", "memory shrinks only as far as memory.high presses it"),
    WantedFile("memory.peak", "memory", "5.19", "the most memory ever used is not shown"),
    *(WantedFile(file.name, file.controller, file.since, file.without) for file in limits.FILES if file.without),
)


class OwnCgroup(NamedTuple):
    """rctl's cgroup. ``controllers``: those it can hand down. ``handed_down``: rctl may write the root's files.

    ``units``: the VEs are units of systemd, which hands the controllers down.
    """

    path: str
    controllers: Collection[str]
    handed_down: bool
    units: bool = False


def controllers(root: Collection[str], place: OwnCgroup, v1: Mapping[str, str], proc_cgroups: str) -> list[Check]:
    """One check for each controller. ``root``: the controllers of the mount's root.

    The limits of one controller work without the others. A host without the main controllers can limit almost nothing.
    """
    usable = {*place.controllers, *(root if place.handed_down else ())}
    without = () if usable.intersection(_MAIN) else _MAIN
    return [
        _controller(name, root, place, v1, proc_cgroups, "fail" if name in without else "warn")
        for name in limits.CONTROLLERS
    ]


def _controller(
    name: str,
    root: Collection[str],
    place: OwnCgroup,
    v1: Mapping[str, str],
    proc_cgroups: str,
    bad: Literal["warn", "fail"],
) -> Check:
    needed = f"needed by {name}.*" + ", vcpus" * (name in _FOR_VCPUS)
    old = _V1_NAMES.get(name, name)
    title = f"controller {name}"
    if name in place.controllers:
        return Check(title, "ok", "available")
    if name in root and place.handed_down:
        return Check(title, "ok", f"available; rctl hands it down to {place.path} when a limit needs it")
    if name in root:
        remedy = (
            f"As root: echo +{name} > cgroup.subtree_control in each cgroup above {place.path} (systemd: Delegate=yes)"
            if not place.units
            else TO_USERS
            if name in HANDED_DOWN
            else "Run as root: only VEs of root can have it"
        )
        return Check(title, bad, f"not handed down to {place.path}; {needed}", remedy)
    if old in v1:
        return Check(title, bad, f"held by cgroup v1{' at ' + v1[old] if v1[old] else ''}; {needed}", NO_V1)
    if _disabled(old, proc_cgroups):
        remedy = f"Take cgroup_disable={name} off the kernel's command line (Raspberry Pi: add cgroup_enable={name})"
        return Check(title, bad, f"switched off at boot; {needed}", remedy)
    remedy = "Use a kernel that is built with it, or have the container's manager hand it down"
    return Check(title, bad, f"not there; {needed}", remedy)


def _disabled(name: str, proc_cgroups: str) -> bool:
    rows = (line.split() for line in proc_cgroups.splitlines())
    return any(len(row) == 4 and row[0] == name and row[3] == "0" for row in rows)


def files(found: Mapping[str, bool | None], swap_off: bool = False) -> list[Check]:
    """One check for all existing files, one for all files that are not known yet, and one for each missing file.

    ``found``: ``None`` if no cgroup has the controller enabled. ``swap_off``: the command line switches swap accounting
    off. Older kernels obey that, newer ones ignore it. The check says both until a cgroup shows which is true.
    """
    off = [file for file in FILES if swap_off and file.name.startswith(SWAP) and not found.get(file.name)]
    rest = [file for file in FILES if file not in off]
    there = [file.name for file in rest if found.get(file.name)]
    unknown = [file.name for file in rest if found.get(file.name) is None]
    missing = [file for file in rest if found.get(file.name) is False]
    checks = [Check("kernel files", "ok", ", ".join(there))] if there else []
    if unknown:
        checks.append(Check("kernel files", "info", f"not known until a VE needs them: {', '.join(unknown)}"))
    return [
        *checks,
        *(
            Check(f"file {file.name}", "warn", f"missing: {file.without}", f"Boot Linux {file.since} or newer")
            for file in missing
        ),
        *(
            Check(f"file {file.name}", "warn", f"{_SWAP_OFF[found.get(file.name)]}: {file.without}", _SWAP_REMEDY)
            for file in off
        ),
    ]
