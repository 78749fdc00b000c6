"""The values to which rctl last set each VE's limits, read from the history as it grows.

*Desired* is the value that was asked for, *written* is the value of the file. If they differ, another program has
changed the limit since: that is drift. This module also counts limits that were written and that could not be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress

import msgspec

from ...limits import file_named
from ..state_folder import State
from ..steps import Set, Want
from .failures import NewerFailureError
from .failures import decode as decode_failure
from .follow import Follower
from .record_format import NewerRecordError, decode

_FURTHEST = 16 << 20  # bytes
_NONE: frozenset[str] = frozenset()


class _Boot(msgspec.Struct, frozen=True):
    boot_id: str


class Desired:
    """The desired limits of this boot. ``close()`` it.

    ``writes``, ``failures``: limits that rctl wrote, and failed to write, since this object was made, by file.
    ``version`` changes with every adjustment. ``refused``: why an adjustment, or a failure, is not known, for people;
    empty if all are known.
    """

    def __init__(self, state: State, boot_id: str) -> None:
        """Reads this boot's history, at most its newest 16 MiB. A missing or unreadable one counts as empty."""
        self._boot_id, self._path, self._failures_path = boot_id, state.history, state.failures
        self._history, self._failed = Follower(state, state.history), Follower(state, state.failures)
        self._entries: dict[int, dict[tuple[str, str], str]] = {}
        self.writes: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.version = 0
        self.refused = ""
        for line in reversed(list(self._this_boot())):
            self._take(line)
        self.writes.clear()

    def refresh(self) -> None:
        """Read the adjustments since the last time. A line that is no record is left out."""
        for line in self._history.lines():
            self._take(line)
        for line in self._failed.lines():
            try:
                self.failures[decode_failure(line).file] += 1
            except NewerFailureError as error:
                self.refused = self.refused or f"{self._failures_path}: a line {error}; it is not counted"
            except ValueError:
                continue

    def files(self, ino: int) -> frozenset[str]:
        """The files of the limits that rctl set on a cgroup."""
        entries = self._entries.get(ino)
        return frozenset(name for name, _ in entries) if entries else _NONE

    def drift(self, ino: int, texts: Mapping[str, str]) -> dict[str, bool]:
        """True for each limit on a cgroup that no longer has rctl's value; by file, and device if there is one.

        ``texts``: of the limits' files that exist, by name; other limits are left out.
        """
        return {
            f"{name} {key}".strip(): not (file := file_named(name)).holds(file.entry(texts[name], key), wanted)
            for (name, key), wanted in self._entries.get(ino, {}).items()
            if name in texts
        }

    def keep(self, inos: Container[int]) -> None:
        """Forget all cgroups except these. Call it before ``refresh``, which may add newer ones."""
        self._entries = {ino: entries for ino, entries in self._entries.items() if ino in inos}

    def __len__(self) -> int:
        """The number of known cgroups."""
        return len(self._entries)

    def close(self) -> None:
        """Close the files."""
        self._history.close()
        self._failed.close()

    def _this_boot(self) -> Iterator[bytes]:
        """Lines of the history since the last boot, newest first."""
        size, head = 0, msgspec.json.Decoder(_Boot)
        for line in self._history.past():
            size += len(line)
            with suppress(msgspec.DecodeError):
                if size > _FURTHEST or head.decode(line).boot_id != self._boot_id:
                    return
            yield line

    def _take(self, line: bytes) -> None:
        try:
            record = decode(line)
        except NewerRecordError as error:  # its changes are not known, so nothing before it is certain
            self.refused = f"{self._path}: an adjustment {error}; drift of what was set before it is not told"
            self._entries.clear()
            self.version += 1
            return
        except ValueError:
            return
        self.version += 1
        for step in record.steps:
            if isinstance(step, Set):
                self.writes[step.file] += 1
                if record.boot_id == self._boot_id and (ino := record.inodes.get(step.path)):
                    self._set(self._entries.setdefault(ino, {}), step)
            elif isinstance(step, Want) and record.boot_id == self._boot_id:
                self._entries.setdefault(record.inodes[step.path], {})[step.file, step.key] = step.value

    @staticmethod
    def _set(entries: dict[tuple[str, str], str], step: Set) -> None:
        for other in file_named(step.file).disturbs:  # the kernel changed it; it was not asked for
            entries.pop((other.name, ""), None)
        entries.pop((step.file, step.key), None)
        if step.exact:
            entries[step.file, step.key] = step.new
