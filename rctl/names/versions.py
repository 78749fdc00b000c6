"""Lists the folders in which other programs keep files, and tells when such a file changed.

What is missing or unreadable is as good as none: a name that is not known is no error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec


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


def listed(folder: str) -> Iterable[str]:
    """The names in a folder; none if it cannot be listed."""
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return ()
