"""Reads files that other programs keep, some of them in the folders of users."""

from __future__ import annotations

import os
import stat

_MOST = 16 << 20
"""Bytes of the largest file that is read. A list of ten thousand containers has less."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW


def content(path: str, most: int = _MOST) -> bytes | None:
    """The bytes of a regular file of at most ``most`` bytes. It waits for nothing.

    ``None`` for a file that is missing, unreadable, not regular, a link, too large, or grows meanwhile.
    """
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > most:
            return None
        data = os.read(fd, facts.st_size + 1)
        return data if len(data) <= facts.st_size else None
    except OSError:
        return None
    finally:
        os.close(fd)


def few(path: str, most: int) -> bytes | None:
    """As ``content`` for a small file: in one read, without a look at its kind and size.

    ``None`` for a file that is missing, unreadable, a folder, a link, or too large. It waits for nothing.
    """
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        data = os.read(fd, most + 1)
        return data if len(data) <= most else None
    except OSError:
        return None
    finally:
        os.close(fd)
