"""The history: finished adjustments, one JSON line each, oldest first, for ``rctl undo`` and ``rctl history``."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import msgspec

from ..errors import RctlError
from .plan import Step
from .state import State

_MOST = 16 << 20


class Record(msgspec.Struct, frozen=True):
    """One adjustment: when (seconds since 1970), by what command, of which cgroups (inode by path), in which steps.

    ``undoes`` is the id of the adjustment that this one took back.
    """

    id: str
    time: float
    boot_id: str
    command: str
    inodes: dict[str, int]
    steps: tuple[Step, ...]
    undoes: str | None = None


def append(path: str, line: bytes) -> None:
    """Add a line to a file. One that has grown over 16 MiB starts anew beside the old, which is still read."""
    fd = _alone(path)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        torn = size and os.pread(fd, 1, size - 1) != b"\n"  # by a crash or a full disk
        write_all(fd, (b"\n" if torn else b"") + line + b"\n")
        if size + len(line) > _MOST:
            os.rename(path, path + ".1")
    finally:
        os.close(fd)


def _alone(path: str) -> int:
    """Open a file for adding to it, locked; anew when it was moved away while another had the lock."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(fd)):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def history(state: State) -> Iterator[Record]:
    """Finished adjustments, oldest first. A line that is no record (a disk that was full) is left out."""
    decoder = msgspec.json.Decoder(Record)
    for path in (f"{state.history}.1", state.history):
        try:
            with open(path, "rb") as lines:
                for line in lines:
                    try:
                        yield decoder.decode(line)
                    except msgspec.DecodeError:
                        continue
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RctlError(f"{path}: cannot be read: {error.strerror}") from None


def write_all(fd: int, data: bytes) -> None:
    """As many write(2) as it takes."""
    while data:
        data = data[os.write(fd, data) :]
