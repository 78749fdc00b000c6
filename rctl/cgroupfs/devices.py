"""Translates the name of a disk to the ``MAJOR:MINOR`` that ``io.max`` takes, and back to a name.

``io.max`` answers ENODEV to partitions, so the result is always a whole device: the way goes down through partitions,
LVM, dm-crypt and overlay to the disk (https://docs.kernel.org/admin-guide/abi-testing.html: /sys/dev/block, slaves). It
stops earlier at an md array, and at a volume of several disks: there the kernel limits by the array's or volume's own
number. A limit on a member would cover only a part. With RAID 5 it would cover nothing, because a kernel thread, which
is in no VE, writes to the members.
"""

from __future__ import annotations

import os
import re
import stat as modes
from contextlib import suppress

from ..errors import OUT_OF, KernelError, UsageError
from ..formats import unescaped
from ..late_regex import regex
from .mounts import Stat, rows

Path = str | os.PathLike[str]

_NUMBER = regex(r"[0-9]{1,4}:[0-9]{1,7}", re.ASCII)
_REMEDY = "Name a disk (vda, /dev/vda, 8:0), or a file on one; lsblk lists them"
_LAYERS = 4


def resolve(name: str, sys: Path = "/sys", mountinfo: Path = "/proc/self/mountinfo", stat: Stat = os.stat) -> str:
    """The ``MAJOR:MINOR`` that ``io.max`` takes for a name: of the whole disk, or of the array or volume of several.

    ``name``: a kernel name (``vda``), a device node or a link to one, the path of any file or directory, or a number.
    A number is used unchanged, except that a partition's number gives its disk. Raises UsageError if there is no disk
    for the name, and for a btrfs of several disks, which has no number of its own; KernelError if the limit of open
    files prevents the search.
    """
    if _NUMBER.fullmatch(name):
        if not os.path.exists(_link(name, sys)):
            raise UsageError(f"{name}: there is no block device of this number. {_REMEDY}")
        return _whole(name, sys)
    devices = _at(name, sys, mountinfo, stat) if "/" in name else [_named(name, sys)]
    disks = {_accounted(device, sys) for device in devices}
    if len(disks) > 1:
        names = ", ".join(sorted(disk_name(disk, sys) for disk in disks))
        raise UsageError(f"{name!r}: lies on a btrfs of several disks: {names}. Give a limit for each of them")
    return disks.pop()


def disk_name(major_minor: str, sys: Path = "/sys") -> str:
    """The kernel's name of a device (``vda``); the number itself if the device does not exist, or no longer."""
    return _kernel_name(major_minor, sys).replace("!", "/")


def lasting_name(major_minor: str, sys: Path = "/sys", by_id: str = "/dev/disk/by-id", stat: Stat = os.stat) -> str:
    """A name of a device that outlives a boot, for ``resolve``: udev's by its id, else the kernel's; else the number.

    Of several ids: the world-wide one, else the first by name.
    """
    found = []
    for name in _names(by_id):
        path = os.path.join(by_id, name)
        with suppress(OSError):
            node = stat(path).st_rdev
            if f"{os.major(node)}:{os.minor(node)}" == major_minor and re.fullmatch(r"[!-~]+", path):
                found.append(path)
    return min(found, key=lambda path: ("/wwn-" not in path, path), default="") or disk_name(major_minor, sys)


def number_now(name: str) -> str:
    """The present number of a device with a ``lasting_name``; the name itself if it is not there."""
    if _NUMBER.fullmatch(name):
        return name
    try:
        return resolve(name)
    except UsageError:
        return name


def _link(device: str, sys: Path) -> str:
    return os.path.join(sys, "dev", "block", device)


def _kernel_name(device: str, sys: Path) -> str:
    known = _NUMBER.fullmatch(device) and os.path.exists(_link(device, sys))
    return os.path.basename(os.path.realpath(_link(device, sys))) if known else device


def _named(name: str, sys: Path) -> str:
    number = _read(os.path.join(sys, "class", "block", name, "dev")) if name not in ("", ".", "..") else None
    if number is None:
        raise UsageError(f"{name!r}: there is no block device of this name. {_REMEDY}")
    return number


def _at(name: str, sys: Path, mountinfo: Path, stat: Stat) -> list[str]:
    """The device of a path, or the devices of the file system that holds it."""
    path, kind = name, ""
    for _ in range(_LAYERS):
        try:
            found = stat(path)
        except (OSError, ValueError) as error:
            _not_for_lack(error, path)
            cause = error.strerror if isinstance(error, OSError) else error
            where = f"cannot look at {path!r}: " * (path != name)
            raise UsageError(f"{name!r}: {where}{cause}. {_REMEDY}") from None
        if modes.S_ISCHR(found.st_mode):
            raise UsageError(f"{name!r}: is a character device, not a disk. {_REMEDY}")
        node = modes.S_ISBLK(found.st_mode)
        number = found.st_rdev if node else found.st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        if os.path.exists(_link(device, sys)):
            return [device] if node and path == name else _members(device, sys)
        if node:
            where = "it" if path == name else repr(path)
            raise UsageError(f"{name!r}: there is no device {device} behind {where}. {_REMEDY}")
        kind, path = _below(os.path.realpath(path), mountinfo)
        if not path:
            break
    raise UsageError(f"{name!r}: lies on {kind}, which shows no disk here. {_REMEDY}")


def _below(path: str, mountinfo: Path) -> tuple[str, str]:
    """A path's file system, and the place of its data: the writable layer of an overlay, the device of others.

    The mount is the one with the longest mount point; of equal ones, the latest (proc(5)). An empty place: no disk.
    """
    best, tail = "", ["an unknown file system", "", ""]
    for fields, rest in rows(_read(mountinfo) or ""):
        point = unescaped(fields[4])
        if len(point) >= len(best) and (path == point or path.startswith(point.rstrip("/") + "/")):
            best, tail = point, rest
    kind, place, options = tail[:3]
    if kind == "overlay":
        layers = dict(pair.partition("=")[::2] for pair in options.split(","))
        place = layers.get("upperdir") or layers.get("lowerdir", "").split(":")[0]
    return kind, unescaped(place) if place.startswith("/" if kind == "overlay" else "/dev/") else ""


def _members(device: str, sys: Path) -> list[str]:
    """All devices of the btrfs that has this device; otherwise the device alone."""
    name, systems = _kernel_name(device, sys), os.path.join(sys, "fs", "btrfs")
    for folder in (os.path.join(systems, entry, "devices") for entry in _names(systems)):
        if name in (members := _names(folder)):
            return [number for m in members if (number := _read(os.path.join(folder, m, "dev")))] or [device]
    return [device]


def _whole(device: str, sys: Path) -> str:
    """A partition's disk; any other device itself."""
    link = _link(device, sys)
    part = os.path.exists(os.path.join(link, "partition"))
    return (_read(os.path.join(os.path.realpath(link), os.pardir, "dev")) if part else None) or device


def _accounted(device: str, sys: Path) -> str:
    """The device whose number the kernel uses for I/O to this one: its only disk beneath, otherwise itself."""
    disk = _whole(device, sys)
    folder = os.path.join(_link(disk, sys), "slaves")
    if os.path.exists(os.path.join(_link(disk, sys), "md")):
        return disk
    below = [number for name in _names(folder) if (number := _read(os.path.join(folder, name, "dev")))]
    found = {_accounted(number, sys) for number in below}
    return found.pop() if len(found) == 1 else disk


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        _not_for_lack(error, folder)
        return []


def _read(path: Path) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        _not_for_lack(error, path)
        return None


def _not_for_lack(error: Exception, path: Path) -> None:
    """Raise KernelError if a limit of the process or machine was reached; it does not mean that the file is missing."""
    if isinstance(error, OSError) and error.errno in OUT_OF:
        raise KernelError(os.fspath(path), "", "", error.errno) from None
