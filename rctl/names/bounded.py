"""Reads files that other programs keep, some of them in the folders of users.

A file that is missing, unreadable, not regular, or too large is as good as none: a name that is not known is no error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

import msgspec

MOST = 16 << 20
"""Bytes of the largest file that is read. A list of ten thousand containers has less."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW


class Version(msgspec.Struct, frozen=True):
    """Tells a file from the one that replaces it, and from its own later state."""

    inode: int
    size: int
    changed: int


def version(path: str) -> Version | None:
    """The file's present version; ``None`` if it cannot be looked at."""
    try:
        facts = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    return Version(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def content(path: str, most: int = MOST) -> bytes | None:
    """The bytes of a regular file of at most ``most`` bytes; else ``None``. It waits for nothing."""
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > most:
            return None
        with open(fd, "rb", closefd=False) as file:
            data = file.read(most + 1)
        return data if len(data) <= most else None
    except OSError:
        return None
    finally:
        os.close(fd)


def listed(folder: str) -> Iterable[str]:
    """The names in a folder; none if it cannot be listed."""
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return ()
