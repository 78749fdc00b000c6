"""Every error that rctl raises, on one page.

Each message is one line: the thing, the cause, the remedy. ``exit_status`` is what the command line ends with:
1 when the work failed and nothing was changed, 2 when rctl was used wrongly, 3 when something could not be put back.
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

    ``account`` is what an adjustment that failed did to each VE (``rctl.Account``), ``None`` where none had begun.
    ``reached``: how many of its steps had been begun. ``settled``: of a recovery, a line for each adjustment that it
    did settle.
    """

    exit_status = 1
    account: Any = None
    reached: int = 0
    settled: tuple[str, ...] = ()


class UsageError(RctlError):
    """A name, value, flag or spec that cannot be right on any host.

    ``ve``: the one VE whose limits are wrong, where each VE has limits of its own; else empty.
    """

    exit_status = 2
    ve: str = ""


def note_outcome(error: BaseException, became: str) -> None:
    """Note on a Ctrl-C what became of the adjustment that was under way. Other errors say so themselves."""
    if isinstance(error, KeyboardInterrupt):
        error.add_note(f"an adjustment under way {became}")


@contextmanager
def naming(ve: str) -> Iterator[None]:
    """Name the VE in each UsageError about its limits."""
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
    """A library that only an extra brings is missing, and ``use`` needs it. Says what to type, for this environment."""
    remedy = f"In rctl's checkout, run: {sys.prefix}/bin/pip install '.[{extra}]'"
    return NotAvailableError(f"{package}: not installed, and {use} needs it. {remedy}")


class KernelError(RctlError):
    """The kernel refused a read or a write.

    ``errno`` is the kernel's answer; ``file`` the name inside the cgroup; ``value`` what was written, or ``""``.
    ``what`` could not be done; unset: to write the value, or to read.
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
    """Memory could not be shrunk below what is in use within the deadline; the old limit stands."""


class BusyError(RctlError):
    """Another adjustment holds the VE, or the VE still has processes or children."""


class RollbackError(RctlError):
    """A step failed and so did putting back what was there; the journal stays open for ``rctl recover``."""

    exit_status = 3


OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""A limit of this process or machine was reached. It says nothing of the file, which is not absent for that."""


def explained(error: OSError, remedy: str = "") -> str:
    """Why a file of this host cannot be used, and the remedy: ``remedy``, or what lifts the limit that was reached."""
    if error.errno in OUT_OF:
        return _REMEDIES["", error.errno]
    return f"{error.strerror}. {remedy}" if remedy else error.strerror or str(error)


def unforeseen(error: OSError) -> str:
    """The line for an OSError that no code expected: the file where it has one, and the cause."""
    return (f"{error.filename}: " if isinstance(error.filename, str) else "") + explained(error)


def told(error: BaseException) -> str:
    """What any error says, in one line; its name where it says nothing."""
    return unforeseen(error) if isinstance(error, OSError) else str(error) or type(error).__name__


_READING = "cannot read"
_REMEDIES = {
    (_READING, errno.EINVAL): "the kernel takes what is written to it, and shows nothing",
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
    ("", errno.ENFILE): "this host may open no more files. Raise fs.file-max, or end whoever holds so many",
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
