"""A disk for the instruction clock: in memory, and done when it is asked.

Through a virtual disk of QEMU's, how many requests go together depends on how busy the host is.
"""

import os
import subprocess
from pathlib import Path

DEVICE = Path("/sys/kernel/config/nullb/rctl")
FOLDER = "/mnt/memory"
SETTINGS = {"size": 768, "memory_backed": 1, "irqmode": 0, "completion_nsec": 0, "submit_queues": 1, "power": 1}


def make() -> str:
    """Make the disk and mount it; the folder."""
    _do("modprobe", "-a", "configfs", "ext4")
    if not os.path.ismount("/sys/kernel/config"):
        _do("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
    _do("modprobe", "null_blk", "nr_devices=0")
    DEVICE.mkdir()
    for name, value in SETTINGS.items():
        (DEVICE / name).write_text(str(value))
    # Older kernels number such disks and do not name them.
    disk = next(path for path in (Path("/dev", DEVICE.name), Path("/dev/nullb0")) if path.exists())
    os.makedirs(FOLDER, exist_ok=True)
    _do("mkfs.ext4", "-q", "-F", str(disk))
    _do("mount", "-t", "ext4", "-o", "noatime", str(disk), FOLDER)
    return FOLDER


def _do(*command: str) -> None:
    subprocess.run(command, check=True)
