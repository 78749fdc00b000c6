"""What QEMU boots: the kernel uncompressed, and an initramfs with the drivers that reach the root file system.

Under emulation the kernel's own decompressor would take 3 s, so it is done here, once.
"""

import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.base import LabError, tool

DRIVERS = (
    "virtio_pci", "virtio_console", "virtio_blk", "9pnet_virtio", "9p", "squashfs", "overlay", "ext4", "zram",
)  # fmt: skip
UNPACKERS = {b"\xfd7zXZ\0": ("xz", "-dcq", "--single-stream"), b"\x28\xb5\x2f\xfd": ("zstd", "-dcq")}
BUSYBOX = Path("/bin/busybox")


def uncompress(image: Path) -> bytes:
    """The ELF kernel within a bzImage; see the kernel's Documentation/arch/x86/boot.rst, payload_offset.

    Raises:
        LabError: it is packed in a way that Debian does not use.
    """
    data = image.read_bytes()
    setup_sectors = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return _unpacked(data[start : start + length], image)


def drivers(root: Path, release: str) -> Iterator[tuple[str, bytes]]:
    """The modules that the guest needs at once, uncompressed, each after those that it depends on."""
    seen = set()
    for driver in DRIVERS:
        listed = tool("modprobe", "-d", root, "-S", release, "--show-depends", driver, hint="Delete .lab/kernels")
        for line in listed.splitlines():
            kind, _, rest = line.partition(" ")
            path = Path(rest.split()[0])
            if kind == "insmod" and path not in seen:
                seen.add(path)
                yield path.name.split(".")[0] + ".ko", _unpacked(path.read_bytes(), path)


def initramfs(early: Path, scripts: dict[str, Path]) -> bytes:
    """An initramfs of the modules in the folder `early`, busybox and `scripts` (by their names in the guest)."""
    if not BUSYBOX.exists():
        raise LabError(f"{BUSYBOX}: not found. Install it: tests/lab/packages")
    folders = ("bin", "dev", "lower", "modules", "root", "upper")
    files = {"bin/busybox": BUSYBOX, "bin/sh": BUSYBOX}
    files |= {f"modules/{path.name}": path for path in sorted(early.iterdir())}
    entries = [_entry(name, stat.S_IFDIR | 0o755, b"") for name in folders]
    entries += [_entry(name, stat.S_IFREG | 0o755, path.read_bytes()) for name, path in (files | scripts).items()]
    return b"".join([*entries, _entry("TRAILER!!!", 0, b"")])


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """One file in cpio's `newc` form; see the kernel's initramfs buffer format."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _unpacked(data: bytes, name: Path) -> bytes:
    if data.startswith(b"\x7fELF"):
        return data
    for magic, command in UNPACKERS.items():
        if data.startswith(magic):
            # Four bytes of length follow a kernel's payload: all of it is written, and then complained of.
            return subprocess.run(command, input=data, capture_output=True, check=False).stdout
    raise LabError(f"{name}: neither xz nor zstd. Use another LAB_KERNEL, and report it")
