"""One frozen reading of what a VE uses, waits for and was refused."""

from __future__ import annotations

import time

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

FILES = (
    *GLANCE,
    "cpuset.cpus", "cpuset.cpus.effective", "cpuset.mems.effective",
    "memory.peak", "memory.events", "memory.stat",
    "io.stat", "io.max",
    "pids.events",
    "cpu.pressure", "io.pressure", "irq.pressure",
)  # fmt: skip
"""All that the controllers parse, but for huge pages, whose file names depend on the machine."""


class Sample(msgspec.Struct, frozen=True):
    """One reading of one VE at ``time`` (seconds since 1970).

    ``clock``: the same moment in seconds of a clock that nobody sets, for spans between samples (clock_gettime(2),
    CLOCK_MONOTONIC).

    ``None``: the controller is not enabled for the VE. ``hugetlb``: use and limit in bytes by page size. ``pressure``:
    the lines of each resource's file; a resource without a file (PSI off) is not there.
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

    @property
    def state(self) -> str:
        """``frozen``, ``running``, or ``empty``: no process in it or below."""
        if self.core.frozen:
            return "frozen"
        return "running" if self.core.populated else "empty"


def read(cgroup: Cgroup, name: str) -> Sample:
    """Read all of a VE. Raises GoneError when it was removed, KernelError when the kernel refuses a file."""
    return _parsed(cgroup, name, (*FILES, *huge_page_files(cgroup)))


def glance(cgroup: Cgroup, name: str) -> Sample:
    """As read, but only what a list of many VEs shows; what was not read is as on a host without it."""
    return _parsed(cgroup, name, GLANCE)


def huge_page_files(cgroup: Cgroup) -> tuple[str, ...]:
    """Names of the files with use and limit of huge pages, reservations too, sorted. Raises GoneError, KernelError."""
    ours = (name for name in cgroup.files() if name.startswith("hugetlb."))
    return tuple(sorted(name for name in ours if name.endswith((".current", ".max"))))


def _parsed(cgroup: Cgroup, name: str, files: tuple[str, ...]) -> Sample:
    now, clock = time.time(), time.monotonic()
    texts = {file: text for file in files if (text := cgroup.read_if_there(file)) is not None}
    if core.EVENTS not in texts:
        if cgroup.path != "/":
            raise cgroup.gone()
        texts[core.EVENTS] = "populated 1"  # the root alone has no such file, and is never empty
    return Sample(
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
