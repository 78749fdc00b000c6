"""What a dry run tells before the kernel does: entries of two files that it refuses beside each other."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

from ..cgroupfs.cgroup import Cgroup
from ..controllers import cpu
from ..errors import KernelError
from .plan import Set, Step

_TOGETHER = (cpu.MAX, cpu.BURST)


def check(steps: Sequence[Step], cgroups: Mapping[str, Cgroup]) -> None:
    """Raises the error with which these steps would end: a burst above the quota. ``cgroups``: those that are there."""
    names = [file.name for file in _TOGETHER]
    now: dict[str, dict[str, str]] = {}
    for step in steps:
        if not isinstance(step, Set) or step.file not in names:
            continue
        if (entries := now.get(step.path)) is None:
            ve = cgroups.get(step.path)
            entries = {file.name: file.entry(ve.read_if_there(file.name) if ve else None) for file in _TOGETHER}
            now[step.path] = entries
        entries[step.file] = step.new
        quota, burst = entries[cpu.MAX.name].split()[0], entries[cpu.BURST.name]
        if quota != "max" and int(burst) > int(quota):
            raise KernelError(step.path, step.file, step.new, errno.EINVAL)
