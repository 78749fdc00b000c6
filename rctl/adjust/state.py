"""Where rctl keeps what must outlive a process: locks and open journals, and the history.

Cgroups vanish at a reboot, so locks and journals lie on the run-time file system; the history lies on disk.
``RCTL_STATE`` puts all of it below one folder.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ..errors import NotAvailableError, UsageError


class State(NamedTuple):
    """Two folders: ``run`` for locks and journals (gone at reboot), ``keep`` for the history."""

    run: str
    keep: str

    @property
    def journals(self) -> str:
        """The folder of the open journals."""
        return f"{self.run}/journal"

    @property
    def locks(self) -> str:
        """The file whose bytes, one for each cgroup inode, are the VEs' locks."""
        return f"{self.run}/lock"

    @property
    def history(self) -> str:
        """JSON lines, one a finished adjustment, oldest first."""
        return f"{self.keep}/history.jsonl"

    @property
    def failures(self) -> str:
        """JSON lines, one a limit that could not be written, oldest first."""
        return f"{self.keep}/failures.jsonl"


def _made(folder: str) -> os.stat_result:
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        return os.lstat(folder)
    except OSError as error:
        raise NotAvailableError(
            f"{folder}: cannot be made: {error.strerror}. Set RCTL_STATE to a folder of your own"
        ) from None


def default_state() -> State:
    """``$RCTL_STATE``; else /run/rctl and /var/lib/rctl for root, the XDG folders for others.

    Raises UsageError for a relative ``RCTL_STATE``.
    """
    if place := os.environ.get("RCTL_STATE"):
        if not os.path.isabs(place):
            raise UsageError(f"RCTL_STATE {place[:80]!r}: must start with /, so that all of rctl finds the same locks")
        return State(f"{place}/run", place)
    if os.geteuid() == 0:
        return State("/run/rctl", "/var/lib/rctl")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    run = f"{runtime}/rctl" if runtime else f"/tmp/rctl-{os.geteuid()}"  # noqa: S108 (owner and mode are checked)
    keep = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return State(run, f"{keep}/rctl")


def make(state: State) -> State:
    """Make the folders, for the owner alone. Raises NotAvailableError when one is somebody else's or open to others."""
    for folder in (state.keep, state.run, state.journals):
        try:
            facts = os.lstat(folder)
        except OSError:
            facts = _made(folder)
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
            raise NotAvailableError(
                f"{folder}: must be a folder that only you can write. Set RCTL_STATE to a folder of your own"
            )
    return state
