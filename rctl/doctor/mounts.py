"""The mounted cgroup file systems and their options (proc(5) mountinfo). Pure."""

from __future__ import annotations

from ..cgroupfs.mounts import Mount
from .check import Check

NO_V1 = (
    "Boot with systemd.unified_cgroup_hierarchy=1 (where systemd runs) or cgroup_no_v1=all on the kernel's command line"
)


def held_by_v1(mounts: list[Mount], proc_cgroups: str) -> dict[str, str]:
    """The mount point of each controller that a v1 hierarchy holds, by its v1 name; empty if it is not mounted."""
    places = {name: mount.point for mount in mounts if mount.kind == "cgroup" for name in mount.options}
    rows = (line.split() for line in proc_cgroups.splitlines() if line and not line.startswith("#"))
    return {row[0]: places.get(row[0], "") for row in rows if len(row) == 4 and row[1] != "0"}


def mounted(mounts: list[Mount], v1: dict[str, str], chosen: str | None, problem: str = "") -> Check:
    """Check for a cgroup2 mount that can be written, and name the one that rctl uses, and the others.

    ``chosen``: its mount point; ``None``: rctl uses none, because of ``problem``.
    """
    unified = [mount for mount in mounts if mount.kind == "cgroup2"]
    if not unified:
        remedy = f"{NO_V1}; or mount it: mount -t cgroup2 none /sys/fs/cgroup"
        return Check("cgroup2", "fail", "not mounted", remedy)
    mine = next((mount for mount in reversed(unified) if mount.point == chosen), None)
    if mine is None:
        found, _, remedy = problem.removeprefix("cgroup2: ").partition(". ")
        return Check("cgroup2", "fail", found, remedy)
    options = ", ".join(sorted(mine.options & {"nsdelegate", "memory_recursiveprot", "favordynmods"}))
    read_only = "ro" in mine.options
    what = f"mounted at {mine.point}" + (f" ({options})" if options else "") + ", read-only" * read_only
    if others := [f"{mount.point} (its root is {mount.part})" for mount in unified if mount.point != chosen]:
        what += f", not using {', '.join(others)}; RCTL_MOUNT chooses"
    if read_only:
        remedy = "Run outside the container, or with a writable /sys/fs/cgroup"
        return Check("cgroup2", "fail", what, remedy)
    if v1:
        return Check("cgroup2", "warn", f"{what}, hybrid: cgroup v1 holds {', '.join(sorted(v1))}", NO_V1)
    return Check("cgroup2", "ok", what)
