"""The texts of one cgroup's files on demand, the host's own files, and the limit of open descriptors."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from ..errors import NotAvailableError
from ..host import Host
from .cgroup import Cgroup


class Texts(dict[str, str | None]):
    """The texts of a cgroup's files by name, read when first used; ``None`` for a missing file."""

    __slots__ = ("_cgroup",)

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup

    def __missing__(self, name: str) -> str | None:
        try:
            text: str | None = self._cgroup.read(name)
        except NotAvailableError:
            text = None
        self[name] = text
        return text


def this_host() -> Host:
    """The host that rctl runs on."""

    def read(path: str) -> str:
        with open(path, "rb", buffering=0) as file:
            return file.readall().decode("ascii", "replace")

    return Host(read, os.sysconf("SC_PAGESIZE"))


def possible(kind: str) -> str:
    """All CPUs (``cpu``) or memory nodes (``node``) that this machine can ever have, as a list such as ``0-7``.

    https://docs.kernel.org/admin-guide/cputopology.html (possible). A kernel without NUMA has node 0 and no such file.
    """
    try:
        return _fact(f"/sys/devices/system/{kind}/possible")
    except FileNotFoundError:
        if kind == "node":
            return "0"
        raise


def has_huge_pages(size: int) -> bool:
    """True if this machine has huge pages of ``size`` (bytes; https://docs.kernel.org/admin-guide/mm/hugetlbpage.html)."""
    return os.path.isdir(f"/sys/kernel/mm/hugepages/hugepages-{size >> 10}kB")


def online_cpus() -> str:
    """The CPUs that are online now, as a list."""
    return _fact("/sys/devices/system/cpu/online")


def swap_accounting_is_off(cmdline: str | None = None) -> bool:
    """True if ``swapaccount=0`` in ``cmdline`` switched memory.swap.* off. ``cmdline`` unset: this kernel's."""
    return "swapaccount=0" in (_fact("/proc/cmdline") if cmdline is None else cmdline).split()


def _fact(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read().strip()


def raise_file_limit(descriptors: int) -> None:
    """Make room for so many open descriptors. Raises NotAvailableError if the hard limit is too low.

    Before the process becomes another program, call ``put_file_limit_back``.
    """
    global _former
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptors + _BESIDES
    if soft >= wanted:
        return
    if wanted > hard:
        if (least := _open_below(hard) + descriptors + _FEW) > hard:
            fewer = " or adjust fewer VEs at once" * (descriptors > _FEW)
            raise NotAvailableError(
                f"open files: {least} needed for this adjustment, and the hard limit is {hard}. "
                f"Raise it (ulimit -n, or LimitNOFILE= of the unit){fewer}"
            )
        wanted = hard
    _former = _former or (soft, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def put_file_limit_back() -> None:
    """Restore the limit that the process had before ``raise_file_limit``."""
    if _former is not None:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, _former)


_former: tuple[int, int] | None = None
_FEW, _BESIDES = 16, 256
"""Descriptors that all other parts need beside those that are open; and the number that they get if there is room."""


def _open_below(limit: int) -> int:
    """The number of open files with a descriptor below the limit. Counting opens no file."""
    number = 0
    for fd in range(limit):
        with suppress(OSError):
            os.get_inheritable(fd)
            number += 1
    return number


def allow_open_files(most: int | None = None) -> None:
    """Raise this process's limit of open files to the hard limit; ``most``: further, to this number, if it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, max(hard, most or 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
