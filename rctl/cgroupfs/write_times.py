"""When an interface file was last opened to be overwritten, as far as the kernel knows: kernfs(fs/kernfs/inode.c).

The kernel notes no time for a write. It notes one if a file is opened with O_TRUNC, as a shell does for ``echo 1G >
memory.max``, and as runc and crun do. systemd and rctl open without it. The times of a file that was never opened so
are all the same: those of its first use since the kernel dropped it from its cache.
"""

from __future__ import annotations

import os

from .cgroup import Cgroup


def overwritten_at(cgroup: Cgroup, name: str) -> float | None:
    """The last time at which a program opened a file to overwrite it, in seconds since 1970; ``None``: not known."""
    try:
        facts = os.stat(name, dir_fd=cgroup.fd, follow_symlinks=False)
    except OSError:
        return None
    return None if facts.st_mtime_ns == facts.st_atime_ns else facts.st_mtime
