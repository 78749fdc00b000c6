"""One frozen reading of the use, the waits and the refusals of a VE."""

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
"""The files for the list of many VEs."""

RATED = (core.EVENTS, "cpu.stat", "io.stat", *pressure.READ)
"""The files with the counters of rates. ``read`` begins with them, next to its clock."""

FILES = tuple(name for resource in (core, cpu, cpuset, memory, io, pids, pressure) for name in resource.READ)
"""All files that the controllers parse, except huge pages, whose names depend on the machine."""


class Sample(msgspec.Struct, frozen=True):
    """One reading of one VE at ``time`` (seconds since 1970).

    ``clock``: the same moment in seconds of a clock that is never set, for spans between samples (clock_gettime(2),
    CLOCK_MONOTONIC).

    ``None``: the controller is not enabled for the VE. ``hugetlb``: use and limit in bytes by page size. ``pressure``:
    the lines of each resource's file; a resource without a file (PSI is off) is missing. ``limits``: every limit that
    exists, by the kernel's name: a number or MAX, by device for a limit by device, a list or a word as text.
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
        """``frozen``, ``running``, or ``empty``: no process in it or below it."""
        if self.core.frozen:
            return "frozen"
        return "running" if self.core.populated else "empty"


def read(cgroup: Cgroup, name: str) -> Sample:
    """Read everything of a VE. Raises GoneError if it was removed, KernelError if the kernel refuses a file."""
    return with_limits(cgroup, name)[0]


def with_limits(cgroup: Cgroup, name: str) -> tuple[Sample, dict[str, str]]:
    """As ``read``, and the texts of the limits' files that it read, by name."""
    from . import limits  # a list of many VEs does not need it

    files = dict.fromkeys((*RATED, *FILES, *limits.NAMES, *hugetlb.files(cgroup.files())))
    sample, texts = _read(cgroup, name, files)
    held = limits.among(texts)
    return msgspec.structs.replace(sample, limits=limits.values(held)), held


def glance(cgroup: Cgroup, name: str) -> Sample:
    """As ``read``, but only the figures for a list of many VEs; the others are as on a host without them."""
    return _read(cgroup, name, GLANCE)[0]


def counters(cgroup: Cgroup, name: str) -> Sample:
    """As ``read``, but only the figures for rates; the others are as on a host without them."""
    return _read(cgroup, name, RATED)[0]


def _read(cgroup: Cgroup, name: str, files: Iterable[str]) -> tuple[Sample, dict[str, str]]:
    now, clock = time.time(), time.monotonic()
    texts = {file: text for file in files if (text := cgroup.read_if_there(file)) is not None}
    if core.EVENTS not in texts:
        if cgroup.path != "/":
            raise cgroup.gone()
        texts[core.EVENTS] = "populated 1"  # only the root has no such file, and it is never empty
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
