"""Which cgroup file systems are mounted, and how (proc(5) mountinfo). Pure."""

from __future__ import annotations

import msgspec

from ..formats import unescaped
from .check import Check

NO_V1 = (
    "Boot with systemd.unified_cgroup_hierarchy=1 (where systemd runs) or cgroup_no_v1=all on the kernel's command line"
)


class Mount(msgspec.Struct, frozen=True):
    """``kind``: cgroup2, or cgroup (v1). ``part``: what of it is mounted, ``/`` for all. ``options``: both columns'."""

    point: str
    kind: str
    part: str
    options: frozenset[str]


def cgroup_mounts(mountinfo: str) -> list[Mount]:
    """The cgroup mounts, in order."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if tail[0] in ("cgroup", "cgroup2") and len(fields) > 5:
            options = frozenset(fields[5].split(",")) | frozenset(tail[-1].split(","))
            found.append(Mount(unescaped(fields[4]), tail[0], unescaped(fields[3]), options))
    return found


def held_by_v1(mounts: list[Mount], proc_cgroups: str) -> dict[str, str]:
    """Where each controller that a v1 hierarchy holds is mounted (empty when nowhere), by its v1 name."""
    places = {name: mount.point for mount in mounts if mount.kind == "cgroup" for name in mount.options}
    rows = (line.split() for line in proc_cgroups.splitlines() if line and not line.startswith("#"))
    return {row[0]: places.get(row[0], "") for row in rows if len(row) == 4 and row[1] != "0"}


def mounted(mounts: list[Mount], v1: dict[str, str]) -> Check:
    """Whether there is a cgroup2 mount that can be written, and what lies beside it."""
    unified = next((mount for mount in mounts if mount.kind == "cgroup2"), None)
    if unified is None:
        remedy = f"{NO_V1}; or mount it: mount -t cgroup2 none /sys/fs/cgroup"
        return Check("cgroup2", "fail", "not mounted", remedy)
    options = ", ".join(sorted(unified.options & {"nsdelegate", "memory_recursiveprot", "favordynmods"}))
    what = f"mounted at {unified.point}" + (f" ({options})" if options else "")
    if "ro" in unified.options:
        remedy = "Run outside the container, or with a writable /sys/fs/cgroup"
        return Check("cgroup2", "fail", f"{what}, read-only", remedy)
    if v1:
        return Check("cgroup2", "warn", f"{what}, hybrid: cgroup v1 holds {', '.join(sorted(v1))}", NO_V1)
    return Check("cgroup2", "ok", what)
