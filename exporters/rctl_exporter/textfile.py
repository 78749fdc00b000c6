"""A page as a file, for the textfile collector of node_exporter."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable

from rctl.errors import NotAvailableError, UsageError, explained

_MODE = 0o644
_PREFIX = ".rctl-page-"


def write(path: str, chunks: Iterable[bytes]) -> None:
    """Put a page into a file, whole or not at all. A reader finds the old page or the new one, also after a crash.

    Every user can read the file. Raises UsageError for a path that cannot be such a file, NotAvailableError if it
    cannot be written; then no other file is left, and an old page stays as it was. The next call removes the files that
    a killed one left.
    """
    check(path)
    folder = os.path.dirname(path)
    try:
        _sweep(folder or ".")
        number, beside = tempfile.mkstemp(prefix=_PREFIX, dir=folder or ".")
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with open(number, "wb") as file:
            fcntl.flock(number, fcntl.LOCK_EX)
            file.writelines(chunks)
            file.flush()
            os.fchmod(number, _MODE)
            os.fsync(number)
            os.rename(beside, path)
        _sync(folder or ".")
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise


def check(path: str) -> None:
    """Raise UsageError if the path cannot be the file of a page."""
    if path == "-":
        raise UsageError("-: not a file. Print the page with rctl exporter once")
    if not path or "\0" in path or path.endswith("/") or os.path.isdir(path):
        raise UsageError(f"{path[:200]!r}: not a file. Name one in the textfile collector's folder, ending in .prom")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path[:200]!r}: not a regular file. Name one in the textfile collector's folder")


def _sweep(folder: str) -> None:
    """Remove files of killed writers: our own files that no process holds locked."""
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    for path in found:
        with contextlib.suppress(OSError):  # another user's, or just renamed
            _remove_if_left(path)


def _remove_if_left(path: str) -> None:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(number)
        if stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid():
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
    finally:
        os.close(number)


def _unwritable(path: str, error: OSError) -> NotAvailableError:
    return NotAvailableError(f"{path}: cannot be written: {explained(error, 'Check its folder and the space there')}")


def _sync(folder: str) -> None:
    """Sync the folder, so that the new name is on disk, too."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
