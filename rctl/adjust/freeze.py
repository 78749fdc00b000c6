"""Freezing is a request: the kernel stops one task after the other. ``cgroup.events`` tells when it has them all.

https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files (``cgroup.freeze``)
"""

from __future__ import annotations

import time

from ..cgroupfs.cgroup import Cgroup
from ..controllers import core
from ..errors import BusyError


def wait_until_frozen(cgroup: Cgroup, deadline: float) -> None:
    """Wait until all tasks of a cgroup are frozen. ``deadline``: seconds. Raises BusyError when it has passed."""
    end, pause = time.monotonic() + deadline, 0.001
    while not core.parse({core.EVENTS: cgroup.read(core.EVENTS)}).frozen:
        if time.monotonic() > end:
            raise BusyError(
                f"{cgroup.path}: not all of it is frozen after {deadline:g} s: some task waits in the kernel. "
                "See rctl ps, or raise --deadline"
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
