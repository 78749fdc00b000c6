"""The kernel's reports of changes in a cgroup's directory: inotify(7).

The kernel reports cgroups that are made and removed, and every write(2) to an interface file, by any process. It does
not report files that come and go with a controller. It does not report values that it changes itself, except those of
some files of events; see ``forest`` and ``changed_counts``.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import NamedTuple

from ..errors import NotAvailableError, not_installed

_MODIFY, _MOVED, _CREATE, _DELETE, _ONLYDIR = 0x2, 0xC0, 0x100, 0x200, 0x01000000
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name
_BUSY = (b"cgroup.procs", b"cgroup.threads")
"""Files that are written whenever a process enters; their reports are ignored."""
_UNWATCHED = (errno.ENOSPC, errno.ENOENT, errno.ENOMEM, errno.EACCES)


class DirectoryChange(NamedTuple):
    """One change. ``watch``: of the directory. ``name``: a file in it, or a ``cgroup`` that was made or removed."""

    watch: int
    name: str
    cgroup: bool


class LostError(Exception):
    """The kernel's queue overflowed: anything may have changed."""


class Watch:
    """Watches on directories. Raises NotAvailableError if the user has no free inotify instance."""

    def __init__(self) -> None:
        try:
            import inotify_simple
        except ImportError:
            raise not_installed("inotify-simple", "exporter", "watching cgroups") from None
        _name_libc(inotify_simple)
        try:
            self._inotify = inotify_simple.INotify(nonblocking=True)
        except OSError as error:
            raise NotAvailableError(
                f"inotify: {error.strerror}. Raise fs.inotify.max_user_instances, or run without watching"
            ) from None

    def fileno(self) -> int:
        """The descriptor that is readable when the kernel has reported something."""
        return int(self._inotify.fileno())

    def add(self, directory: int) -> int | None:
        """Watch an open directory; ``None`` if the user has no watch left, it was removed, or it may not be watched."""
        try:
            return int(
                self._inotify.add_watch(f"/proc/self/fd/{directory}", _MODIFY | _MOVED | _CREATE | _DELETE | _ONLYDIR)
            )
        except OSError as error:
            if error.errno in _UNWATCHED:
                return None
            raise

    def remove(self, watch: int) -> None:
        """End a watch."""
        with suppress(OSError):
            self._inotify.rm_watch(watch)

    def changes(self) -> Iterator[DirectoryChange]:
        """The changes since the last call, in order, without the files in ``_BUSY``.

        Raises LostError if some changes were lost. This reads the events itself: the library makes an object of every
        event, which is the largest cost on a host with many short processes.
        """
        while data := self._read():
            at = 0
            while at < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, at)
                name = data[at + _EVENT.size : at + _EVENT.size + length]
                at += _EVENT.size + length
                if mask & _OVERFLOW:
                    raise LostError
                if not (mask & _MODIFY and name.startswith(_BUSY)) and not mask & _IGNORED:
                    text = os.fsdecode(name.rstrip(b"\0"))
                    yield DirectoryChange(watch, text, bool(mask & (_CREATE | _DELETE | _MOVED)))

    def _read(self) -> bytes:
        try:
            return os.read(self._inotify.fileno(), 1 << 16)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """End all watches."""
        self._inotify.close()


def _name_libc(library: ModuleType) -> None:
    """Tell the library the name of libc. It would run ldconfig to find it, which takes longer than all else it does."""
    from ctypes import CDLL

    library._libc = CDLL(None, use_errno=True)  # type: ignore[attr-defined]
