"""Work on files, in a folder on the disk to measure."""

from __future__ import annotations

from .base import Builtin, Workload

_FILES = "files"

ALL: tuple[Workload, ...] = (
    Builtin("read, cached", _FILES, "pread(2) of 4 KiB from page cache", 3000, verb="read"),
    Builtin("read, direct", _FILES, "pread(2) of 4 KiB with O_DIRECT", 300, verb="dread"),
    Builtin("write, buffered", _FILES, "write(2) of 1 MiB that the file grows by", 8, verb="write"),
    Builtin("write and fsync", _FILES, "pwrite(2) of 4 KiB, fsync(2)", 100, verb="fsync"),
    Builtin("write, direct", _FILES, "pwrite(2) of 4 KiB with O_DIRECT", 300, verb="dwrite"),
    Builtin("open, close, stat", _FILES, "open(2), close(2), stat(2)", 1000, verb="open"),
    Builtin("create and unlink", _FILES, "open(2) a new file, write(2) 4 KiB, close(2), unlink(2)", 200, verb="create"),
)
