"""What a scrape could not read: how much, of how many VEs, and why, in a line for the log."""

from __future__ import annotations

from collections.abc import Sequence

from rctl.cgroupfs.forest import Unread


class Trouble:
    """Collects what could not be read in one scrape. False when there was nothing."""

    def __init__(self) -> None:
        self._unread: list[Unread] = []
        self._failed: list[Exception] = []

    def add(self, unread: Sequence[Unread]) -> bool:
        """Take in what one step could not read. Returns whether there was nothing."""
        self._unread += unread
        return not unread

    def failed(self, error: Exception) -> None:
        """A step failed as a whole."""
        self._failed.append(error)

    def __bool__(self) -> bool:
        return bool(self._unread or self._failed)

    @property
    def errors(self) -> int:
        """How many cgroups, files and whole steps."""
        return len(self._unread) + len(self._failed)

    @property
    def ves(self) -> int:
        """Of how many VEs something could not be read; of a cgroup that cannot be opened nothing more is known."""
        return len({path for path, _ in self._unread})

    def __str__(self) -> str:
        if self._failed:
            return f"not all could be read: {self._failed[0]}"
        if not self:
            return ""
        who = "1 VE" if self.ves == 1 else f"{self.ves} VEs"
        return f"{who} could not be read in full, the first for this reason: {self._unread[0].error}"
