"""Files of counts for which the kernel reports changes: they are read again only after a report.

The kernel reports a change of these files like a write (inotify(7), IN_MODIFY), after it has counted:
``cgroup_update_populated`` and ``cgroup_update_frozen`` (kernel/cgroup/cgroup.c, freezer.c), ``memcg_memory_event``
(include/linux/memcontrol.h), ``hugetlb_event`` (mm/hugetlb_cgroup.c), ``pids_event`` (kernel/cgroup/pids.c) call
``cgroup_file_notify`` for every field. They call it for the cgroup and for all above that count the event, since
Linux 5.10. A watch on the cgroup's directory, as ``forest`` has, receives these reports.
If the last report is less than 10 ms old, the kernel delays the next one until these 10 ms are over.

- ``kernfs_notify_workfn`` (fs/kernfs/file.c) reports only files whose inode is in memory. An ``O_PATH`` descriptor
  keeps it there, for 1.3 KiB of memory; an open file that was read takes 5.4 KiB.
- ``memory.events`` also counts the events of ``memory.events.local``, so one report is enough. If a cgroup has
  ``pids.events.local`` and cgroup2 is mounted with ``pids_localevents``, the kernel reports that file instead of
  ``pids.events``. So both are held.
- The first reading of a VE holds nothing: each file is opened once. A program that reads only once needs no reports.
- Kernels since autumn 2025 count some ``max`` events of ``memory.events`` without a report: those that occur where the
  kernel may not wait for a lock, such as in BPF programs (``__memcg_memory_event`` without ``allow_spinning``). So each
  file is read again after ``MOST`` scrapes, also without a report.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle
from typing import Protocol

from ..errors import KernelError
from .cgroup import FILE_FLAGS, Cgroup
from .open_files import Budget, Kept

MOST = 16
"""Readings after which a file is read again without a report."""

_NOTED = re.compile(
    r"cgroup\.events|memory\.events(\.local)?|memory\.swap\.events|pids\.events|hugetlb\.[0-9]+[KMG]B\.events"
)
_PIDS_LOCAL = "pids.events.local"
_TURNS = cycle(range(MOST))
"""Spreads these readings, so that not all files are read again in the same scrape."""


def is_noted(name: str) -> bool:
    """True if the kernel reports every change of this file."""
    return _NOTED.fullmatch(name) is not None


@lru_cache(64)  # most cgroups have the same files
def _held(names: tuple[str, ...]) -> tuple[str, ...]:
    """The files to hold, whose reports cover all of these files."""
    if "memory.events" in names:
        names = tuple(name for name in names if name != "memory.events.local")
    return (*names, _PIDS_LOCAL) if "pids.events" in names else names


class Reported(Protocol):
    """The receiver of a cgroup's reports. ``watch``: unset without a watch. ``events``: the number of reports."""

    watch: int | None
    events: int


class Noted(Kept):
    """Those files of one cgroup that ``is_noted`` names. Their last texts are used until the kernel reports a change.

    Without a watch, or without room for descriptors, they are read each time.
    """

    __slots__ = ("_fresh", "_held", "_left", "_reported", "_seen", "_text")

    def __init__(self, cgroup: Cgroup, names: Sequence[str], budget: Budget, reported: Reported) -> None:
        super().__init__(cgroup, names, budget)
        self._reported = reported
        self._held: list[int] = []
        self._fresh = False
        self._seen = -1
        self._text = b""
        self._left = next(_TURNS)

    def read(self) -> bytes:
        """As ``Kept.read``, but reads only after a report."""
        if not self._fresh:
            if not self._held:
                return super().read()
            if self._left and self._seen == self._reported.events:
                self._left -= 1
                return self._text
            self._left = MOST
        self._fresh = False
        self._hold()  # again: the name may be another file's by now
        self._text = super().read()
        return self._text

    def each(self) -> tuple[dict[str, bytes], list[KernelError]]:
        """As ``Kept.each``; a file whose changes are reported does not stay open for reading."""
        self._let_go()
        texts, errors = super().each()
        self._fresh = self._reported.watch is not None and not errors
        return texts, errors

    def close(self) -> None:
        """Close the descriptors."""
        super().close()
        self._let_go()

    def _room(self, number: int) -> bool:
        return self._reported.watch is None and super()._room(number)

    def _hold(self) -> None:
        """Make the kernel report changes from now on. The next reading covers all earlier changes."""
        self._let_go()
        self._seen = self._reported.events
        if not all(self._held_now(name) for name in _held(self.names)):
            self._let_go()

    def _held_now(self, name: str) -> bool:
        """Keep a file's inode in memory, if there is room for a descriptor."""
        if not self._budget.hold():
            return False
        self._held.append(-1)
        try:
            self._held[-1] = os.open(name, os.O_PATH | FILE_FLAGS, dir_fd=self._cgroup.fd)
        except OSError as error:
            if name != _PIDS_LOCAL or error.errno != errno.ENOENT:
                return False
            self._held.pop()  # most kernels lack it
            self._budget.held -= 1
        return True

    def _let_go(self) -> None:
        self._budget.held -= len(self._held)
        while self._held:
            if (fd := self._held.pop()) >= 0:
                os.close(fd)
