"""The mounted cgroup file systems, and the choice of the one that rctl works on (proc(5) mountinfo).

A host may mount cgroup2 several times: a container has its own mount, and perhaps the host's, too. For each mount the
kernel shows which cgroup is its root, as seen from the reader's cgroup namespace (cgroup_namespaces(7)): ``/`` is the
namespace's own root, ``/sub`` is a part of it, and ``/..`` lies above it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import msgspec

from ..errors import NotAvailableError, UsageError
from ..formats import unescaped

Stat = Callable[[str], os.stat_result]
USUAL = "/sys/fs/cgroup"
_MOUNTINFO = "/proc/self/mountinfo"


class Mount(msgspec.Struct, frozen=True):
    """One mount. ``kind``: cgroup2, or cgroup (v1). ``part``: the cgroup that is its root. ``options``: of both
    columns.

    ``device``: its ``MAJOR:MINOR``. ``over``: the cgroups (paths from its root) under other mounted file systems.
    """

    point: str
    kind: str = "cgroup2"
    part: str = "/"
    options: frozenset[str] = frozenset()
    device: str = ""
    over: tuple[str, ...] = ()


def rows(mountinfo: str) -> Iterator[tuple[list[str], list[str]]]:
    """The fields of each mount as the kernel writes them (proc_pid_mountinfo(5)): those before and after the dash.

    Before the dash, the third is the device and the fifth the mount point. After it come kind, source and options.
    """
    for line in mountinfo.split("\n"):
        left, _, right = line.partition(" - ")
        if len(fields := left.split(" ")) >= 6:
            yield fields, right.split(" ")


def cgroup_mounts(mountinfo: str) -> list[Mount]:
    """The cgroup mounts, in order."""
    found: list[tuple[str, Mount]] = []
    above: dict[str, list[str]] = {}
    for fields, tail in rows(mountinfo):
        ident, parent, device, part, point, options = fields[:6]
        above.setdefault(parent, []).append(unescaped(point))
        if tail[0] in ("cgroup", "cgroup2"):
            words = frozenset(options.split(",")) | frozenset(tail[-1].split(","))
            found.append((ident, Mount(unescaped(point), tail[0], unescaped(part), words, device)))
    return [msgspec.structs.replace(mount, over=_below(mount.point, above.get(ident, ()))) for ident, mount in found]


def _below(point: str, others: Sequence[str]) -> tuple[str, ...]:
    inside = point.rstrip("/") + "/"
    return tuple("/" + other.removeprefix(inside) for other in others if other.startswith(inside))


def find(named: str | None = None, mountinfo: str = _MOUNTINFO, stat: Stat = os.stat) -> Mount:
    """The mount that rctl works on. ``named``: ``$RCTL_MOUNT``, a mount point; unset: the result of ``choose``.

    The kernel's mount table says that it is cgroup2, and every directory opened there must be on the mount's device.
    Raises NotAvailableError if there is none, UsageError if ``named`` is not one.
    """
    unified, shown = _unified(mountinfo, stat)
    if named:
        chosen = next((mount for mount in shown if mount.point == os.path.normpath(named)), None)
        if chosen is None:
            raise UsageError(f"RCTL_MOUNT={named}: not a cgroup2 mount. See findmnt -t cgroup2")
        return chosen
    return choose(unified, shown)


def others(than: Mount, mountinfo: str = _MOUNTINFO, stat: Stat = os.stat) -> list[Mount]:
    """The other cgroup2 mounts that can be read."""
    return [mount for mount in _unified(mountinfo, stat)[1] if mount.point != than.point]


def _unified(mountinfo: str, stat: Stat) -> tuple[list[Mount], list[Mount]]:
    """The cgroup2 mounts, the topmost at each place; and those of them that no other file system covers."""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        mounts = cgroup_mounts(file.read())
    unified = list({mount.point: mount for mount in mounts if mount.kind == "cgroup2"}.values())
    return unified, [mount for mount in unified if _device(mount.point, stat) == mount.device]


def choose(unified: Sequence[Mount], shown: Sequence[Mount]) -> Mount:
    """The cgroup2 mount whose root is this cgroup namespace's; of several, the usual place, else the first.

    ``shown``: those that no other file system covers. Raises NotAvailableError if there is none.
    """
    whole = [mount for mount in shown if mount.part == "/"]
    if whole:
        return next((mount for mount in whole if mount.point == USUAL), whole[0])
    if shown:
        places = ", ".join(f"{mount.point} ({mount.part})" for mount in shown)
        raise NotAvailableError(
            f"cgroup2: no mount here has this cgroup namespace's root, only: {places}. "
            "Mount one (mount -t cgroup2 none /sys/fs/cgroup), or name the one to work on: RCTL_MOUNT=PATH"
        )
    if unified:
        raise NotAvailableError(
            f"cgroup2: another file system is mounted over {unified[0].point}. Unmount it, see findmnt"
        )
    raise NotAvailableError(
        "cgroup2: not mounted on this host. "
        "Boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none /sys/fs/cgroup"
    )


def inside(part: str, path: str) -> str | None:
    """The path, from a mount's root ``part``, of the cgroup that ``/proc/PID/cgroup`` calls ``path``.

    Both are seen from the reader's namespace. ``None``: it lies outside, or its name cannot be known here.
    """
    root, place = _parts(part), _parts(path)
    ups, risen = root.count(".."), place.count("..")
    if risen != ups or place[: len(root)] != root:
        return None
    return "/" + "/".join(place[len(root) :])


def kind_of(device: int, mountinfo: str = _MOUNTINFO) -> str:
    """The kind of the mounted file system with this number in stat(2); empty if no mount has it."""
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return ""
    return next((kind for fields, (kind, *_) in rows(text) if number(fields[2]) == device), "")


def number(device: str) -> int:
    """A ``MAJOR:MINOR`` as the number in stat(2); 0 for an empty text."""
    major, colon, minor = device.partition(":")
    return os.makedev(int(major), int(minor)) if colon else 0


def _parts(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _device(place: str, stat: Stat) -> str:
    """The ``MAJOR:MINOR`` of the file system at a path; empty if there is none."""
    try:
        number = stat(place).st_dev
    except OSError:
        return ""
    return f"{os.major(number)}:{os.minor(number)}"
