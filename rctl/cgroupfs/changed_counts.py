"""Counts of which the kernel says that they changed: their files are read again only then.

The kernel reports a change of these files as it reports a write (inotify(7), IN_MODIFY), after it has counted:
``cgroup_update_populated`` and ``cgroup_update_frozen`` (kernel/cgroup/cgroup.c, freezer.c), ``memcg_memory_event``
(include/linux/memcontrol.h), ``hugetlb_event`` (mm/hugetlb_cgroup.c), ``pids_event`` (kernel/cgroup/pids.c) call
``cgroup_file_notify`` for every field, at the cgroup and at all above it that count it, since Linux 5.10; a watch on
the cgroup's directory, as ``forest`` has, hears of it.
Within 10 ms of the last report the next one waits for these 10 ms.

- ``kernfs_notify_workfn`` (fs/kernfs/file.c) reports only files whose inode is in memory. An ``O_PATH`` descriptor
  keeps it there, for 1.3 KiB of memory; an open file that was read takes 5.4 KiB.
- What ``memory.events.local`` counts ``memory.events`` counts too, so that one report is enough. Of a cgroup that has
  ``pids.events.local`` the kernel reports that one, in place of ``pids.events``, where cgroup2 is mounted with
  ``pids_localevents``: both are held.
- A VE's first reading holds nothing: each file is opened once, and who reads once only needs no reports.
- Kernels since autumn 2025 count ``max`` of ``memory.events`` unreported where they may not wait for a lock, in BPF
  programs say (``__memcg_memory_event`` without ``allow_spinning``). So each file is read again after ``MOST``
  scrapes, whatever was reported.
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
"""Readings after which a file is read again of which nothing was reported."""

_NOTED = re.compile(
    r"cgroup\.events|memory\.events(\.local)?|memory\.swap\.events|pids\.events|hugetlb\.[0-9]+[KMG]B\.events"
)
_PIDS_LOCAL = "pids.events.local"
_TURNS = cycle(range(MOST))
"""So that not all files are read again in the same scrape."""


def is_noted(name: str) -> bool:
    """Whether the kernel reports every change of this file."""
    return _NOTED.fullmatch(name) is not None


@lru_cache(64)  # most cgroups have the same files
def _held(names: tuple[str, ...]) -> tuple[str, ...]:
    """Files whose reports tell of all these."""
    if "memory.events" in names:
        names = tuple(name for name in names if name != "memory.events.local")
    return (*names, _PIDS_LOCAL) if "pids.events" in names else names


class Reported(Protocol):
    """Who hears the kernel's reports for a cgroup. ``watch``: unset where nobody does; ``events``: counts them."""

    watch: int | None
    events: int


class Noted(Kept):
    """Files of one cgroup that ``is_noted`` names. Their last texts stand until the kernel reports a change.

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
        """As ``Kept.read``, but what nothing was reported of is not read."""
        if not self._fresh:
            if not self._held:
                return super().read()
            if self._left and self._seen == self._reported.events:
                self._left -= 1
                return self._text
            self._left = MOST
        self._fresh = False
        self._hold()  # anew: by now the name may be another file's
        self._text = super().read()
        return self._text

    def each(self) -> tuple[dict[str, bytes], list[KernelError]]:
        """As ``Kept.each``; no file stays open for reading where changes are reported."""
        self._let_go()
        texts, errors = super().each()
        self._fresh = self._reported.watch is not None and not errors
        return texts, errors

    def close(self) -> None:
        """Let go of the descriptors."""
        super().close()
        self._let_go()

    def _room(self, number: int) -> bool:
        return self._reported.watch is None and super()._room(number)

    def _hold(self) -> None:
        """See to it that changes are reported from now on; what was counted before is seen by who reads after this."""
        self._let_go()
        self._seen = self._reported.events
        if not all(self._held_now(name) for name in _held(self.names)):
            self._let_go()

    def _held_now(self, name: str) -> bool:
        """Keep a file's inode in memory, if there is room for its descriptor."""
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
