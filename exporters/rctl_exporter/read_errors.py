"""The files that a scrape could not read: their number, of how many VEs, and the cause, in a line for the log."""

from __future__ import annotations

from collections.abc import Sequence

from rctl.cgroupfs.forest import Unread


class Trouble:
    """Collects the files that could not be read in one scrape. It is false if there are none."""

    def __init__(self) -> None:
        self._unread: list[Unread] = []
        self._failed: list[Exception] = []

    def add(self, unread: Sequence[Unread]) -> bool:
        """Add the files that one step could not read. Returns True if there are none."""
        self._unread += unread
        return not unread

    def failed(self, error: Exception) -> None:
        """Add a step that failed as a whole."""
        self._failed.append(error)

    def __bool__(self) -> bool:
        return bool(self._unread or self._failed)

    @property
    def errors(self) -> int:
        """The number of cgroups, files and whole steps that failed."""
        return len(self._unread) + len(self._failed)

    @property
    def ves(self) -> int:
        """The number of VEs with a file that could not be read. A cgroup that cannot be opened counts as one."""
        return len({path for path, _ in self._unread})

    def __str__(self) -> str:
        if self._failed:
            return f"not all could be read: {self._failed[0]}"
        if not self:
            return ""
        who = "1 VE" if self.ves == 1 else f"{self.ves} VEs"
        return f"{who} could not be read in full, the first for this reason: {self._unread[0].error}"
