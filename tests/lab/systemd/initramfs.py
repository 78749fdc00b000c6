"""The initramfs of a host with systemd: busybox, the modules for its disks and its network, and a few lines of shell.

Debian's own takes 20 s to unpack under emulation.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.base import LabError, tool
from tests.lab.kernel import Kernel

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4", "crc32c_generic")
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module 2>/dev/null; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
mount -t ext4 -o noatime /dev/vda /root || exec sh
umount /proc
exec switch_root /root /sbin/init
"""
BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")


def write(kernel: Kernel, target: Path) -> None:
    """Write the initramfs for this kernel, uncompressed.

    Raises:
        LabError: busybox is missing, or the kernel has no such module.
    """
    with TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        for below in ("bin", "dev", "proc", "root", "modules"):
            (folder / below).mkdir()
        _busybox(folder)
        for number, module in enumerate(_modules(kernel)):
            _unpack(module, folder / "modules" / f"{number:02}.ko")
        (folder / "init").write_text(INIT)
        (folder / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
        part = target.with_suffix(".part")
        with part.open("wb") as out:
            subprocess.run(
                [_found(), "cpio", "-o", "-H", "newc"],
                cwd=folder,
                input=names.encode(),
                stdout=out,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        part.rename(target)


def _busybox(folder: Path) -> None:
    shutil.copy(_found(), folder / "bin" / "busybox")
    for applet in ("sh", "mount", "umount", "insmod", "ip", "switch_root"):
        (folder / "bin" / applet).symlink_to("busybox")


def _modules(kernel: Kernel) -> list[Path]:
    """The modules' files, each after those that it depends on. What is built into the kernel has none."""
    found: dict[Path, None] = {}
    for name in MODULES:
        text = tool(
            "modprobe", "-d", kernel.root, "-S", kernel.release, "--show-depends", name, hint="See tests/lab/kernel.py"
        )
        found.update({Path(path): None for path in re.findall(r"^insmod (\S+)", text, re.MULTILINE)})
    return list(found)


def _unpack(module: Path, target: Path) -> None:
    if module.suffix == ".xz":
        with target.open("wb") as out:
            subprocess.run(["xz", "-dc", module], stdout=out, check=True)
    else:
        shutil.copy(module, target)


def _found() -> str:
    for path in BUSYBOX:
        if os.path.exists(path):
            return path
    raise LabError("busybox: not found. Install it: tests/lab/packages")
