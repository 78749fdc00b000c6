"""The bare system calls that set limits: open, read, close, open, write, close, open, read back, close."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

Text = tuple[str, str]
"""A file's name, and the text for it."""


def set_bare(root: int, paths: Sequence[str], texts: Sequence[Text]) -> float:
    """Read, write and read back each file of each cgroup; returns the seconds. ``root``: the mount's descriptor."""
    begin = time.perf_counter()
    for path in paths:
        for name, text in texts:
            file = f"{path[1:]}/{name}"
            read_bare(root, file)
            write_bare(root, file, text)
            read_bare(root, file)
    return time.perf_counter() - begin


def write_bare(root: int, file: str, text: str) -> None:
    """Write a file."""
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC, dir_fd=root)
    os.write(fd, text.encode())
    os.close(fd)


def read_bare(root: int, file: str) -> bytes:
    """Read a file."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
    data = b""
    while chunk := os.read(fd, 4096):
        data += chunk
    os.close(fd)
    return data
