"""What only a look into the cgroup tree can tell. Reads only."""

from __future__ import annotations

import os
from collections import deque

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError
from .controllers import FILES
from .rights import NEEDED

_MOST = 300  # cgroups to look into
_MARKS = {"": "cgroup.procs", "memory": "memory.current", "cpu": "cpu.weight"}


def kernel_files(tree: Tree) -> dict[str, bool | None]:
    """For each of FILES whether this kernel has it; ``None``: no cgroup below the root has its controller."""
    found: dict[str, bool | None] = {file.name: None for file in FILES}
    waiting, looked = deque(_below(tree.root)), 0
    while waiting and looked < _MOST and not all(found.values()):
        looked += 1
        try:
            with tree.walk(waiting.popleft()) as cgroup:
                for file in FILES:
                    if cgroup.has(_MARKS[file.controller]):
                        found[file.name] = found[file.name] or cgroup.has(file.name)
                waiting += _below(cgroup)
        except (GoneError, NotFoundError):
            continue
    return found


def _below(cgroup: Cgroup) -> list[str]:
    return [f"{cgroup.path.rstrip('/')}/{name}" for name in cgroup.children()]


def may_write(place: Cgroup) -> dict[str, bool]:
    """Whether the caller may write each of NEEDED, by its effective rights."""
    return {name: os.access(name, os.W_OK, dir_fd=place.fd, effective_ids=True) for name in NEEDED}
