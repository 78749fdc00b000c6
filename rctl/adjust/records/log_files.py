"""Files of lines that only grow, in parts, read from the end.

Lines are added to ``NAME``. A full file becomes ``NAME.1``, the next one ``NAME.2``, and so on: parts with higher
numbers are newer. Old parts are removed by age and by number, so adding and reading cost the same, however long a host
has run.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ...errors import OUT_OF, RctlError

_PART = 4 << 20  # bytes, after which a new part begins
_MOST_LINES = 50_000
_MOST_BYTES = 64 << 20
_LONGEST = 400 * 86400.0  # seconds
_BLOCK = 1 << 16
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REPLACE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_ADD = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnreadableError(RctlError):
    """A file that cannot be read, or that the caller does not own. The message begins with its name."""


Leaving = Callable[[list[str], list[str]], object]
"""Called with the names of the parts that are to be removed, and of those that stay; both oldest first."""


def append(folder: int, name: str, line: bytes, leaving: Leaving | None = None) -> None:
    """Add a line to a file in an open folder. Raises OSError.

    ``leaving`` is called before parts are removed, if any are. If it fails with OSError or RctlError, none is removed.
    """
    fd, size = _alone(folder, name)
    try:
        torn = size and os.pread(fd, 1, size - 1) != b"\n"  # torn by a crash or a full disk
        try:
            write_all(fd, (b"\n" if torn else b"") + line + b"\n")
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, size)  # remove the part that reached the full disk
            raise
        if size + len(line) > _PART:
            with suppress(OSError, RctlError):  # the line is written; the next part tries again
                _begin_anew(folder, name, leaving)
    finally:
        os.close(fd)


@contextmanager
def locked(folder: int, name: str) -> Iterator[None]:
    """A block in which no line is added and no part is removed. Makes the file if it is missing. Raises OSError."""
    fd, _ = _alone(folder, name)
    try:
        yield
    finally:
        os.close(fd)


def _alone(folder: int, name: str) -> tuple[int, int]:
    """Open a file to add to it, locked, with its size; again if it was moved away while another held the lock."""
    while True:
        fd = os.open(name, _ADD, 0o600, dir_fd=folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            facts = os.fstat(fd)
            if reason := not_own(facts):
                raise OSError(errno.EPERM, reason)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), facts):
                    return fd, facts.st_size
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _begin_anew(folder: int, name: str, leaving: Leaving | None) -> None:
    """Make the locked file the newest part, and remove parts that are too many, too large or too old."""
    numbers = _numbers(folder, name)
    os.rename(name, f"{name}.{numbers[-1] + 1 if numbers else 1}", src_dir_fd=folder, dst_dir_fd=folder)
    staying = _staying(folder, name)
    gone = [part for part in parts(folder, name) if part not in staying]
    if gone and leaving:
        leaving(gone, staying[::-1])
    for part in gone:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)


def _staying(folder: int, name: str) -> list[str]:
    """The parts that are neither too many, nor too large, nor too old, newest first."""
    found: list[str] = []
    lines = size = 0
    age, later = 0.0, time.time()
    for part in reversed(parts(folder, name)):
        with suppress(OSError):
            facts = os.stat(part, dir_fd=folder, follow_symlinks=False)
            age, later = age + _passed(later - facts.st_mtime), facts.st_mtime
            if age > _LONGEST or lines >= _MOST_LINES or size >= _MOST_BYTES:
                continue
            size += facts.st_size
            lines += _count(folder, part)
        found.append(part)
    return found


def _passed(seconds: float) -> float:
    """The time between two parts; 0 for a leap of the clock, which must not age any part."""
    return seconds if 0 < seconds <= _LONGEST else 0.0


def _count(folder: int, name: str) -> int:
    fd = os.open(name, _READ, dir_fd=folder)
    with open(fd, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def parts(folder: int, name: str) -> list[str]:
    """The names of the parts that are complete, oldest first."""
    return [f"{name}.{number}" for number in _numbers(folder, name)]


def _numbers(folder: int, name: str) -> list[int]:
    part = re.compile(re.escape(name) + r"\.([1-9][0-9]{0,17})", re.ASCII)
    return sorted(int(match[1]) for match in map(part.fullmatch, os.listdir(folder)) if match)


def backwards(folder: int, name: str, passed_over: Callable[[str], object] = str) -> Iterator[bytes]:
    """Complete lines, the newest first, in blocks from the end: lines that are not asked for are not read.

    An incomplete line is left out, and so is an older part that is not the caller's own file; ``passed_over`` is called
    with a line for people about it. Raises UnreadableError if the newest file is such a one.
    """
    seen: set[int] = set()
    for fd in _newest_first(folder, name, passed_over):
        try:
            facts = os.fstat(fd)
            if facts.st_ino not in seen:
                seen.add(facts.st_ino)
                yield from _from_end(fd, facts.st_size)
        finally:
            os.close(fd)


def part_backwards(folder: int, part: str) -> Iterator[bytes]:
    """As ``backwards``, for one part. Raises UnreadableError."""
    if (fd := open_part(folder, part)) is not None:
        try:
            yield from _from_end(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)


def _newest_first(folder: int, name: str, passed_over: Callable[[str], object]) -> Iterator[int]:
    """The parts, each open. The newest may come twice, if it has just become an older one."""
    if (fd := open_part(folder, name)) is not None:
        yield fd
    for part in reversed(parts(folder, name)):
        try:
            fd = open_part(folder, part)
        except UnreadableError as error:
            passed_over(f"{error}; it is passed over")
            continue
        if fd is not None:
            yield fd


def open_part(folder: int, name: str) -> int | None:
    """Open a part to read; ``None`` if it is missing. Raises UnreadableError, OSError if no descriptor is free."""
    try:
        fd = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in OUT_OF:
            raise
        raise UnreadableError(f"{name}: cannot be read: {error.strerror}. Look at it, then remove it") from None
    if reason := not_own(os.fstat(fd)):
        os.close(fd)
        raise UnreadableError(f"{name}: cannot be read: {reason}. Look at it, then remove it")
    return fd


def not_own(facts: os.stat_result) -> str:
    """Why other users may have written a file; empty if only this user can."""
    if not stat.S_ISREG(facts.st_mode):
        return "is no regular file"
    if facts.st_uid not in (0, os.geteuid()):
        return f"belongs to user {facts.st_uid}"
    return "others may write to it" if facts.st_mode & 0o022 else ""


def _from_end(fd: int, at: int) -> Iterator[bytes]:
    tail: list[bytes] = []
    whole = False  # the text after the last newline is not complete yet
    while at > 0:
        begin = max(0, at - _BLOCK)
        first, *lines = os.pread(fd, at - begin, begin).split(b"\n")
        at = begin
        if not lines:
            tail.append(first)
            continue
        lines[-1] += b"".join(reversed(tail))
        tail = [first]
        for line in reversed(lines):
            if whole and line:
                yield line
            whole = True
    if whole and (line := b"".join(reversed(tail))):
        yield line


def replace(folder: int, name: str, data: bytes) -> None:
    """Replace a file in one step, on disk. Only one process may do so at a time. Raises OSError; nothing is changed."""
    draft = f".{name}"
    fd = os.open(draft, _REPLACE, 0o600, dir_fd=folder)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise
    os.fsync(folder)


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes, with as many write(2) as needed."""
    while data:
        data = data[os.write(fd, data) :]
