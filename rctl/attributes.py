"""Attributes of a VE, grouped by resource: a read comes from the kernel, an assignment becomes a limit."""

from __future__ import annotations

from typing import Any

from .cgroupfs.cgroup import Cgroup
from .cgroupfs.descriptors import (
    AmountFile,
    CpuMaxFile,
    CpuPeriodFile,
    DefaultFile,
    FlagFile,
    FlatKeyedFile,
    NestedKeyedFile,
    PressureFile,
    RangesFile,
    TextFile,
)
from .controllers.core import NAME
from .errors import UsageError
from .limits import key_of
from .ranges import Ranges


class _Group:
    """Files of one resource. A read comes from the kernel; an assignment goes to the owner as a limit.

    It has no ``__dict__``: assigning to an unknown name raises AttributeError instead of being lost.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: Limited) -> None:
        self._owner = owner

    def get_property(self, filename: bytes) -> str:
        """The text of a file, for the descriptors."""
        return self._owner.cgroup.read(filename.decode())

    def set_property(self, filename: bytes, value: Any) -> None:
        """Pass a limit on unchanged, for the descriptors."""
        self._owner.ask(key_of(filename.decode()), value)


class _Period(CpuPeriodFile):
    def __set__(self, instance: Any, value: Any) -> None:
        if value is None:
            raise UsageError("cpu.period: cannot be set to None. Give a time, such as 100ms")
        instance._owner.ask("cpu.period", value)


class SwapFiles(_Group):
    """Swap, in bytes."""

    __slots__ = ()
    max = AmountFile("memory.swap.max")
    high = AmountFile("memory.swap.high")
    current = AmountFile("memory.swap.current", readonly=True)


class ZswapFiles(_Group):
    """Compressed swap: ``max`` in bytes; ``writeback``: it may go to disk."""

    __slots__ = ()
    max = AmountFile("memory.zswap.max")
    writeback = FlagFile("memory.zswap.writeback")
    current = AmountFile("memory.zswap.current", readonly=True)


class OomFiles(_Group):
    """The choice of processes to kill when memory runs out."""

    __slots__ = ()
    group = FlagFile("memory.oom.group")


class MemoryFiles(_Group):
    """Memory, in bytes."""

    __slots__ = ()
    max = AmountFile("memory.max")
    high = AmountFile("memory.high")
    low = AmountFile("memory.low")
    min = AmountFile("memory.min")
    current = AmountFile("memory.current", readonly=True)
    peak = AmountFile("memory.peak", readonly=True)
    events = FlatKeyedFile("memory.events", readonly=True)
    stat = FlatKeyedFile("memory.stat", readonly=True)
    pressure = PressureFile("memory.pressure", readonly=True)

    @property
    def swap(self) -> SwapFiles:
        """Swap, apart from memory."""
        return SwapFiles(self._owner)

    @property
    def zswap(self) -> ZswapFiles:
        """Compressed swap."""
        return ZswapFiles(self._owner)

    @property
    def oom(self) -> OomFiles:
        """The choice of processes to kill when memory runs out."""
        return OomFiles(self._owner)


class CpuFiles(_Group):
    """CPU time: ``max`` in CPUs, ``period`` and ``burst`` in microseconds."""

    __slots__ = ()
    max = CpuMaxFile("cpu.max")
    period = _Period("cpu.max")
    burst = AmountFile("cpu.max.burst")
    weight = AmountFile("cpu.weight")
    stat = FlatKeyedFile("cpu.stat", readonly=True)
    pressure = PressureFile("cpu.pressure", readonly=True)


class CpusetFiles(_Group):
    """CPUs and memory nodes."""

    __slots__ = ()
    cpus = RangesFile("cpuset.cpus")
    mems = RangesFile("cpuset.mems")
    partition = TextFile("cpuset.cpus.partition")
    exclusive = RangesFile("cpuset.cpus.exclusive")
    cpus_effective = RangesFile("cpuset.cpus.effective", readonly=True)
    mems_effective = RangesFile("cpuset.mems.effective", readonly=True)


class IoFiles(_Group):
    """Disks. Set ``max`` as ``{"vda": {"wbps": "20MB/s"}}`` or ``"vda wbps=20MB/s"``; a read gives it by MAJOR:MINOR.

    ``latency`` is the same: ``"vda target=10ms"``.
    """

    __slots__ = ()
    weight = DefaultFile("io.weight")
    max = NestedKeyedFile("io.max")
    latency = NestedKeyedFile("io.latency")
    stat = NestedKeyedFile("io.stat", readonly=True)
    pressure = PressureFile("io.pressure", readonly=True)


class PidsFiles(_Group):
    """Processes and threads."""

    __slots__ = ()
    max = AmountFile("pids.max")
    current = AmountFile("pids.current", readonly=True)


class _Keyed:
    """Limits whose last part the user chooses: ``ve.hugetlb["2MB"] = "1G"``, ``ve.files["cgroup.pressure"] = 0``."""

    __slots__ = ("_file", "_owner", "_prefix")

    def __init__(self, owner: Limited, prefix: str, file: str) -> None:
        self._owner, self._prefix, self._file = owner, prefix, file

    def __getitem__(self, key: str) -> str:
        """The file's text. Raises UsageError if this is not the name of an interface file, such as a path."""
        name = self._file.format(key)
        if not NAME.fullmatch(name):
            raise UsageError(f'{self._prefix}: {name[:64]!r} is not the name of a file. Write it like "memory.max"')
        return self._owner.cgroup.read(name).strip()

    def __setitem__(self, key: str, value: Any) -> None:
        self._owner.ask(f"{self._prefix}.{key}", value)


class Limited:
    """The groups, for any object that has a cgroup and takes limits. It has no ``__dict__``, as the groups."""

    __slots__ = ()
    cgroup: Cgroup

    @property
    def memory(self) -> MemoryFiles:
        """Memory and swap, in bytes."""
        return MemoryFiles(self)

    @property
    def cpu(self) -> CpuFiles:
        """CPU time."""
        return CpuFiles(self)

    @property
    def cpuset(self) -> CpusetFiles:
        """CPUs and memory nodes."""
        return CpusetFiles(self)

    @property
    def io(self) -> IoFiles:
        """Disks."""
        return IoFiles(self)

    @property
    def pids(self) -> PidsFiles:
        """Processes and threads."""
        return PidsFiles(self)

    @property
    def hugetlb(self) -> _Keyed:
        """Huge pages by page size: ``ve.hugetlb["2MB"]``; their reservations: ``ve.hugetlb["2MB.rsvd"]``."""
        return _Keyed(self, "hugetlb", "hugetlb.{}.max")

    @property
    def files(self) -> _Keyed:
        """Any interface file, verbatim."""
        return _Keyed(self, "files", "{}")

    @property
    def vcpus(self) -> int:
        """The number of CPUs that the VE sees. An assignment picks that many CPUs, and sets ``cpu.max`` to them."""
        return len(Ranges.parse(self.cgroup.read("cpuset.cpus.effective")).numbers)

    @vcpus.setter
    def vcpus(self, value: Any) -> None:
        self.ask("vcpus", value)

    def ask(self, key: str, value: Any) -> None:
        """Set one limit by its key: ``memory.max``, ``vcpus``, ``hugetlb.2MB``, ``files.cgroup.pressure``."""
        raise NotImplementedError
