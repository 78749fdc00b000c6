"""One frozen reading of what a VE uses, waits for and was refused."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..controllers import core, cpu, cpuset, hugetlb, io, memory, pids, pressure
from ..controllers.core import CoreStat
from ..controllers.cpu import CpuStat
from ..controllers.cpuset import CpusetStat
from ..controllers.io import IoStat
from ..controllers.memory import MemoryStat
from ..controllers.pids import PidsStat
from ..formats import Pressure
from ..units import Amount

GLANCE = (
    core.EVENTS,
    core.STAT,
    "cpu.stat", "cpu.max", "cpu.weight", "cpu.idle",
    "memory.current", "memory.max", "memory.high", "memory.swap.current", "memory.swap.max",
    "pids.current", "pids.max",
    "memory.pressure",
)  # fmt: skip
"""What a list of many VEs tells of each."""

FILES = tuple(name for resource in (core, cpu, cpuset, memory, io, pids, pressure) for name in resource.READ)
"""All that the controllers parse, but for huge pages, whose file names depend on the machine."""


class Sample(msgspec.Struct, frozen=True):
    """One reading of one VE at ``time`` (seconds since 1970).

    ``clock``: the same moment in seconds of a clock that nobody sets, for spans between samples (clock_gettime(2),
    CLOCK_MONOTONIC).

    ``None``: the controller is not enabled for the VE. ``hugetlb``: use and limit in bytes by page size. ``pressure``:
    the lines of each resource's file; a resource without a file (PSI off) is not there. ``limits``: every limit that is
    there, by the kernel's name: a number or MAX, by device where there is one for each, a list or a word as text.
    """

    name: str
    path: str
    time: float
    clock: float
    core: CoreStat
    cpu: CpuStat | None
    cpuset: CpusetStat | None
    memory: MemoryStat | None
    io: IoStat | None
    pids: PidsStat | None
    hugetlb: dict[str, tuple[int, Amount]]
    pressure: dict[str, dict[str, Pressure]]
    limits: dict[str, Any] = {}

    @property
    def state(self) -> str:
        """``frozen``, ``running``, or ``empty``: no process in it or below."""
        if self.core.frozen:
            return "frozen"
        return "running" if self.core.populated else "empty"


def read(cgroup: Cgroup, name: str) -> Sample:
    """Read all of a VE. Raises GoneError when it was removed, KernelError when the kernel refuses a file."""
    return with_limits(cgroup, name)[0]


def with_limits(cgroup: Cgroup, name: str) -> tuple[Sample, dict[str, str]]:
    """As read, and the texts of the limits' files, by name, as they were read for it."""
    from . import limits  # of no use to a list of many VEs

    files = dict.fromkeys((*limits.NAMES, *FILES, *hugetlb.files(cgroup.files())))
    sample, texts = _read(cgroup, name, files)
    held = limits.among(texts)
    return msgspec.structs.replace(sample, limits=limits.values(held)), held


def glance(cgroup: Cgroup, name: str) -> Sample:
    """As read, but only what a list of many VEs shows; what was not read is as on a host without it."""
    return _read(cgroup, name, GLANCE)[0]


def _read(cgroup: Cgroup, name: str, files: Iterable[str]) -> tuple[Sample, dict[str, str]]:
    now, clock = time.time(), time.monotonic()
    texts = {file: text for file in files if (text := cgroup.read_if_there(file)) is not None}
    if core.EVENTS not in texts:
        if cgroup.path != "/":
            raise cgroup.gone()
        texts[core.EVENTS] = "populated 1"  # the root alone has no such file, and is never empty
    sample = Sample(
        name,
        cgroup.path,
        now,
        clock,
        core.parse(texts),
        cpu.parse(texts),
        cpuset.parse(texts),
        memory.parse(texts),
        io.parse(texts),
        pids.parse(texts),
        hugetlb.parse(texts),
        pressure.parse(texts),
    )
    return sample, texts
