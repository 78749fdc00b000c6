"""Reads a file of lines as it grows, and continues in its next part when one begins (``log_files``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from ...errors import RctlError
from ..state_folder import State
from .log_files import backwards, open_part, parts

_BLOCK = 1 << 16


class Follower:
    """The lines that were added since the last look. ``close()`` it. A missing or unreadable file counts as empty.

    A file that was truncated is read from its beginning.
    """

    def __init__(self, state: State, path: str) -> None:
        """``path``: ``state.history`` or ``state.failures``. Starts after the last line; see ``past``."""
        self._state, self._name = state, os.path.basename(path)
        self._fd, self._at, self._half = -1, 0, b""
        if (folder := self._folder()) is not None and self._open(folder, self._name):
            self._at = _end_of_lines(self._fd)

    def past(self) -> Iterator[bytes]:
        """The lines from before, the newest first; those added just now may also come in ``lines``."""
        folder = self._folder()
        if folder is not None:
            with suppress(RctlError):
                yield from backwards(folder, self._name)

    def lines(self) -> Iterator[bytes]:
        """Each whole line since the last call."""
        yield from self._rest()
        while (folder := self._folder()) is not None and self._begun_anew(folder):
            following = self._following(folder)
            yield from self._rest()  # lines from just before a new part began
            if not self._open(folder, following):
                return
            yield from self._rest()

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._at, self._half = -1, 0, b""

    def _folder(self) -> int | None:
        """The folder; opened again if it was removed and made again."""
        try:
            fd = self._state.folder_if_there(self._state.keep)
            if fd is not None and os.fstat(fd).st_nlink == 0:
                self._state.close()
                fd = self._state.folder_if_there(self._state.keep)
            return fd
        except RctlError:
            return None

    def _open(self, folder: int, name: str) -> bool:
        """Raises OSError if no descriptor is free; then the open file stays open."""
        try:
            fd = open_part(folder, name)
        except RctlError:
            fd = None
        self.close()
        self._fd = -1 if fd is None else fd
        return fd is not None

    def _begun_anew(self, folder: int) -> bool:
        try:
            now = os.stat(self._name, dir_fd=folder)
        except OSError:
            return False
        if self._fd < 0:
            return True
        here = os.fstat(self._fd)
        return now.st_size < self._at if os.path.samestat(here, now) else True

    def _following(self, folder: int) -> str:
        """The name of the part after the open one; if that is gone, the oldest part."""
        names = parts(folder, self._name)
        for number, name in enumerate(names):
            if self._fd < 0:
                break
            try:
                if os.path.samestat(os.stat(name, dir_fd=folder), os.fstat(self._fd)):
                    return [*names, self._name][number + 1]
            except OSError:
                continue
        removed = self._fd < 0 or os.fstat(self._fd).st_nlink
        return self._name if removed or not names else names[0]

    def _rest(self) -> Iterator[bytes]:
        while self._fd >= 0 and (block := os.pread(self._fd, _BLOCK, self._at)):
            self._at += len(block)
            *whole, self._half = (self._half + block).split(b"\n")
            yield from whole


def _end_of_lines(fd: int) -> int:
    """The position after the last complete line."""
    at = os.fstat(fd).st_size
    while at > 0:
        begin = max(0, at - _BLOCK)
        if (found := os.pread(fd, at - begin, begin).rfind(b"\n")) >= 0:
            return begin + found + 1
        at = begin
    return 0
