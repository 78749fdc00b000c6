"""A small root file system in memory for a virtual machine: busybox, a script, modules for its disk and its port.

The format is "newc" of https://docs.kernel.org/driver-api/early-userspace/buffer-format.html.
"""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..stage.place import WorkError

_APPLETS = ("sh", "mount", "insmod", "sleep", "dd")


def archive(script: str, busybox: str, root: str, release: str) -> bytes:
    """The archive. ``root``: the folder that holds ``lib/modules``. Raises WorkError if a module cannot be unpacked."""
    entries = list(_entries(script, busybox, root, release))
    return b"".join(_entry(number, *one) for number, one in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1))


def _entries(script: str, busybox: str, root: str, release: str) -> Iterator[tuple[str, int, bytes]]:
    for folder in ("dev", "proc", "bin"):
        yield folder, stat.S_IFDIR | 0o755, b""
    yield "bin/busybox", stat.S_IFREG | 0o755, Path(busybox).read_bytes()
    for name in _APPLETS:
        yield f"bin/{name}", stat.S_IFLNK | 0o777, b"busybox"
    yield "init", stat.S_IFREG | 0o755, f"#!/bin/sh\nexport PATH=/bin\n{script}".encode()
    for number, path in enumerate(modules(root, release)):
        yield f"{number}.ko", stat.S_IFREG | 0o644, _unpacked(path)


def modules(root: str, release: str) -> list[str]:
    """Files of the modules for a virtio disk and port, in the order to load them, without those that are built in."""
    command = ["modprobe", "-d", root, "-S", release, "--show-depends"]
    found: dict[str, None] = {}
    for name in ("virtio_pci", "virtio_blk", "virtio_console"):
        done = subprocess.run([*command, name], capture_output=True, text=True, check=False)
        words = [line.split() for line in done.stdout.splitlines()]
        found |= dict.fromkeys(line[1] for line in words if line[:1] == ["insmod"])
    return list(found)


def _unpacked(path: str) -> bytes:
    data = Path(path).read_bytes()
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        try:
            return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise WorkError(f"{os.path.basename(path)}: cannot be unpacked: {error}") from None
    return data


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
