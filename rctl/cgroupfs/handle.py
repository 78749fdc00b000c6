"""One cgroup among thousands: its directory stays open while there is room; otherwise it is opened for each use.

So there may be more cgroups than this process may open files, whoever made them.
"""

from __future__ import annotations

import errno
import os

from .cgroup import _DIRECTORY, Cgroup
from .open_files import Budget

_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)


class Handle(Cgroup):
    """A cgroup whose ``fd`` opens itself. Reading ``fd`` raises OSError: ENOENT or ENODEV for a removed cgroup.

    Of the cgroups without room, the one that was used last stays open until the next one is used.
    """

    __slots__ = ("_above", "_budget", "_closed", "_fd", "_held")
    _fd: int

    def __init__(self, opened: Cgroup, above: Cgroup, budget: Budget) -> None:
        """Take over an open cgroup. ``above``: its parent."""
        self._above = above
        self._budget = budget
        self._held = self._closed = False
        super().__init__(opened.path, opened.fd, opened.device)
        self._settle()

    @property
    def fd(self) -> int:
        """The directory, open; -1 after ``close``."""
        if self._fd < 0 and not self._closed:
            self._fd = self._opened()
            self._settle()
        return self._fd

    @fd.setter
    def fd(self, fd: int) -> None:
        self._fd = fd

    @property
    def closed(self) -> bool:
        """True if ``close`` was called."""
        return self._closed

    def alive(self) -> bool:
        """True if the cgroup still exists, and if a lack of descriptors prevents the check."""
        if self._closed:
            return False
        try:
            return self.has("cgroup.procs")
        except OSError as error:
            return error.errno not in _GONE

    def close(self) -> None:
        """Close all descriptors, for good."""
        self._closed = True
        self.close_edits()
        self._let_go()

    def _settle(self) -> None:
        """Stay open if there is room; otherwise close the one before, and take its place."""
        budget = self._budget
        if budget.hold():
            self._held = True
            return
        if isinstance(budget.guest, Handle) and budget.guest is not self:
            budget.guest._let_go()
        budget.guest = self

    def _let_go(self) -> None:
        if self._budget.guest is self:
            self._budget.guest = None
        if self._held:
            self._budget.held -= 1
            self._held = False
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _opened(self) -> int:
        """Walk down from the nearest open cgroup above. Raises OSError."""
        names, place = [], self._next_open()
        here: Cgroup = self
        while here is not place:
            names.append(here.path.rpartition("/")[2])
            here = here._above  # type: ignore[attr-defined]
        fd = top = place.fd
        try:
            while names:
                below = os.open(names.pop(), _DIRECTORY, dir_fd=fd)
                if fd != top:
                    os.close(fd)
                fd = below
            facts = os.fstat(fd)
            if facts.st_ino != self._ino or (self.device and facts.st_dev != self.device):
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        except BaseException:
            if fd != top:
                os.close(fd)
            raise
        return fd

    def _next_open(self) -> Cgroup:
        place = self._above
        while isinstance(place, Handle) and place._fd < 0:
            place = place._above
        return place
