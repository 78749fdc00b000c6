"""The caller's right to make VEs in rctl's place, and systemd's part in that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..adjust.enabling.threaded import explained
from .check import Check

NEEDED = (".", "cgroup.procs", "cgroup.subtree_control")


def missing_place(path: str) -> Check:
    """The failure if ``RCTL_TREE`` names a cgroup that does not exist."""
    return Check("place", "fail", f"RCTL_TREE={path}: no such cgroup", "Make it, or start the unit that it belongs to")


def write(path: str, may: Mapping[str, bool], uid: int) -> Check:
    """Check the caller's rights. ``may``: for each of NEEDED, True if the caller may write it in rctl's place."""
    refused = [name for name in NEEDED if not may.get(name)]
    if not refused:
        return Check("permission", "ok", f"may make VEs in {path} as {'root' if uid == 0 else f'user {uid}'}")
    what = ", ".join("the directory" if name == "." else name for name in refused)
    if uid == 0:
        remedy = "Run outside the container, or with a writable /sys/fs/cgroup"
    else:
        remedy = (
            "Run as root, or own a delegated cgroup: chown its directory, cgroup.procs, cgroup.threads and "
            "cgroup.subtree_control to you, and set RCTL_TREE to its path"
        )
    return Check("permission", "fail", f"user {uid} may not write in {path}: {what}", remedy)


def inner_processes(path: str, count: int, kind: str, enabled: Collection[str]) -> Check | None:
    """Check that VEs below ``path`` can have controllers and processes. ``kind``: its ``cgroup.type``, empty for the
    root.

    A cgroup that is not the real root and holds processes cannot give controllers to children (EBUSY, or threaded).
    """
    if kind not in ("", "domain"):
        return Check("processes", "fail", f"{path} is {kind!r} (cgroup.type)", explained(kind))
    if not count or not kind or enabled:
        return None
    remedy = f"Move them into a child first: mkdir a cgroup below {path} and write each pid to its cgroup.procs"
    return Check("processes", "fail", f"{count} live in {path} itself, so its children get no controllers", remedy)


def run(path: str, problem: str) -> Check:
    """Report the trial with a process in a VE in ``path``. ``problem``: the reason of its failure; empty: it worked."""
    if not problem:
        return Check("run", "ok", f"tried: a process can be put into a VE in {path}")
    found, _, remedy = problem.partition(". ")
    return Check("run", "fail", found, remedy)


def systemd(booted: bool, path: str, delegated: bool) -> Check:
    """systemd's single-writer rule (https://systemd.io/CGROUP_DELEGATION/). ``booted``: as sd_booted(3)."""
    if not booted:
        return Check("systemd", "ok", f"does not run this host; VEs live in {path}")
    if delegated:
        return Check("systemd", "ok", f"runs this host and has delegated {path}")
    remedy = (
        "Unset RCTL_TREE: then systemd makes a unit for each VE. Or set it to a cgroup below a unit with Delegate=yes"
    )
    return Check("systemd", "fail", f"runs this host and has not delegated {path}, so rctl makes no VEs there", remedy)


def units(path: str, uid: int) -> Check:
    """systemd makes the VEs of root in ``/``, those of a user in the cgroup of the user's own systemd, if that runs."""
    if uid and path == "/":
        remedy = f"Log in by ssh or on a terminal, or have root run: loginctl enable-linger {uid}"
        return Check("systemd", "fail", f"runs this host; none of user {uid} runs now, so no VE can be made", remedy)
    whose = "" if path == "/" else f", the one of user {uid}"
    return Check("systemd", "ok", f"runs this host{whose}, and makes a unit for each VE, such as rctl-web1.service")
