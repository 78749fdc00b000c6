"""Every error that rctl raises, on one page.

Each message is one line: the thing, the cause, the remedy. ``exit_status`` is the status of the command line: 1 if the
work failed and nothing was changed, 2 if rctl was used wrongly, 3 if something could not be put back.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

READ_ONLY = "the cgroup file system is mounted read-only. Run outside the container, or remount it"


class RctlError(Exception):
    """Base of all errors that rctl raises on purpose.

    ``account``: the changes of a failed adjustment to each VE (``rctl.Account``); ``None`` if it had not begun.
    ``reached``: the number of its steps that had begun. ``settled``: after a recovery, a line for each adjustment that
    it did settle.
    """

    exit_status = 1
    account: Any = None
    reached: int = 0
    settled: tuple[str, ...] = ()


class UsageError(RctlError):
    """A name, value, flag or spec that is wrong on every host.

    ``ve``: the VE whose limits are wrong, if each VE has its own limits; else empty.
    """

    exit_status = 2
    ve: str = ""


def note_outcome(error: BaseException, became: str) -> None:
    """Note on a Ctrl-C what happened to the adjustment under way. Other errors say it in their message."""
    if isinstance(error, KeyboardInterrupt):
        error.add_note(f"an adjustment under way {became}")


@contextmanager
def naming(ve: str) -> Iterator[None]:
    """Add the name of the VE to each UsageError about its limits."""
    try:
        yield
    except UsageError as error:
        named = UsageError(f"{ve}: {error}")
        named.ve = ve
        raise named from None


class NotFoundError(RctlError):
    """There is no such VE."""


class GoneError(RctlError):
    """The VE was removed while rctl held it (the kernel answers ENODEV or ENOENT)."""


class NotAvailableError(RctlError):
    """This host lacks a controller, a file or a privilege that the limit needs."""


def not_installed(package: str, extra: str, use: str) -> NotAvailableError:
    """The error for a missing library of an extra. ``use``: the feature that needs it. Names the command to type."""
    remedy = f"In rctl's checkout, run: {sys.prefix}/bin/pip install '.[{extra}]'"
    return NotAvailableError(f"{package}: not installed, and {use} needs it. {remedy}")


class KernelError(RctlError):
    """The kernel refused a read or a write.

    ``errno``: the kernel's answer. ``file``: the name inside the cgroup. ``value``: the text that was written, or
    ``""``. ``what``: the operation that failed; unset: writing the value, or reading.
    """

    def __init__(self, path: str, file: str, value: str, number: int, what: str = "") -> None:
        self.path, self.file, self.value, self.errno = path, file, value, number
        name = "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))
        what = what or (f"cannot write {value.strip()!r}" if value else _READING)
        names: tuple[str, ...] = file, f"{file.partition('.')[0]}.*", ""
        if number == errno.EINVAL and not value and what == _READING:
            names = (_READING,)
        remedy = next((r for name in names if (r := _REMEDIES.get((name, number)))), os.strerror(number))
        super().__init__(f"{file}: {what} on {path}: {name}: {remedy}" if file else f"{path}: {what}: {name}: {remedy}")


class ShrinkError(RctlError):
    """Memory could not be shrunk below its use within the deadline; the old limit is in force."""


class BusyError(RctlError):
    """Another adjustment holds the VE, or the VE still has processes or children."""


class RollbackError(RctlError):
    """A step failed, and putting the old values back failed, too; the journal stays open for ``rctl recover``."""

    exit_status = 3


OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""A limit of this process or machine was reached. It does not mean that the file is missing."""


def explained(error: OSError, remedy: str = "") -> str:
    """Why a file of this host cannot be used, and the remedy: ``remedy``, or the way to raise the reached limit."""
    if error.errno in OUT_OF:
        return _REMEDIES["", error.errno]
    return f"{error.strerror}. {remedy}" if remedy else error.strerror or str(error)


def unforeseen(error: OSError) -> str:
    """The line for an OSError that no code expected: its file, if it has one, and the cause."""
    return (f"{error.filename}: " if isinstance(error.filename, str) else "") + explained(error)


def told(error: BaseException) -> str:
    """The message of any error in one line; its name if it has none."""
    return unforeseen(error) if isinstance(error, OSError) else str(error) or type(error).__name__


_READING = "cannot read"
_REMEDIES = {
    (_READING, errno.EINVAL): "the file can be written, but not read",
    # By file, by all files of a controller (hugetlb.*), or for every file.
    ("", errno.EACCES): "permission denied. Run as root, or own the VE's directory (delegation)",
    ("", errno.EPERM): "permission denied. Run as root, outside the VE's own cgroup namespace",
    ("", errno.EROFS): READ_ONLY,
    ("", errno.EINVAL): "the kernel does not take this value",
    ("", errno.ERANGE): "the value is out of the kernel's range",
    ("", errno.EBUSY): "in use: a VE with processes cannot have children with controllers. Move the processes first",
    ("", errno.ENOENT): "the controller is not enabled in the parent's cgroup.subtree_control",
    ("", errno.ENODEV): "the device does not exist, or is a partition; io limits take whole disks",
    ("", errno.EOPNOTSUPP): "this kernel or device does not support it",
    ("", errno.EMFILE): "this process may open no more files. Raise its limit (ulimit -n, or LimitNOFILE= of the unit)",
    ("", errno.ENFILE): "this host may open no more files. Raise fs.file-max, or end the programs that hold so many",
    ("", errno.ENOMEM): "the kernel has no memory for it. Free memory",
    (
        "hugetlb.*",
        errno.EBUSY,
    ): "more is in use (its .current), and huge pages are not reclaimed. Give more, or end programs that use them",
    ("cpu.max", errno.EINVAL): "period must be 1ms to 1s, quota at least 1ms and not below cpu.max.burst",
    ("cpu.max.burst", errno.EINVAL): "burst must not exceed the quota in cpu.max. Raise cpu.max or lower burst",
    (
        "cpu.weight",
        errno.EINVAL,
    ): "the VE is idle (cpu.idle is 1) or the weight is no number. Set cpu.weight, not cpu.idle",
    ("cpuset.cpus", errno.EINVAL): "a sibling that is a partition, or exclusive, has some of these CPUs. Give others",
    (
        "cpuset.cpus.partition",
        errno.EINVAL,
    ): "the cgroup above must be a partition, too, and no sibling may have its CPUs; isolated needs Linux 6.1",
    ("cpuset.cpus", errno.ENOSPC): "tasks are running on it, so it cannot be emptied. Give at least one online CPU",
    ("cpuset.cpus", errno.EBUSY): "children still use those CPUs. Change the children first",
    ("cpuset.cpus", errno.ERANGE): "there is no such CPU. See /sys/devices/system/cpu/possible",
    (
        "cpuset.cpus.exclusive",
        errno.EINVAL,
    ): "a sibling has some of these CPUs, or no others, by its cpuset.cpus.exclusive or cpuset.cpus. Give others",
    ("cpuset.cpus.exclusive", errno.ERANGE): "there is no such CPU. See /sys/devices/system/cpu/possible",
    ("cpuset.mems", errno.EINVAL): "there is no such memory node. See /sys/devices/system/node/has_memory",
    ("cpuset.mems", errno.ERANGE): "there is no such memory node. See /sys/devices/system/node/has_memory",
    ("cpuset.mems", errno.ENOSPC): "tasks are running on it, so it cannot be emptied. Give at least one node",
    (
        "cgroup.procs",
        errno.EOPNOTSUPP,
    ): "its cgroup.type is not 'domain': a cgroup above it is threaded. Move the processes of that one into a child",
    (
        "cgroup.subtree_control",
        errno.EOPNOTSUPP,
    ): "it is threaded, or below a threaded cgroup (cgroup.type). Move the processes of that one into a child",
    ("cgroup.procs", errno.ESRCH): "there is no such process",
    ("cgroup.procs", errno.EINVAL): "kernel threads cannot be moved",
    (
        "cgroup.procs",
        errno.EBUSY,
    ): "this cgroup has controllers enabled for children, so it takes no processes. Use a child",
}
