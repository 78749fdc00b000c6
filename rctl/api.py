"""The Python API: ``rctl.open(name)``, attributes that read and write, ``adjust()`` blocks that are one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from .adjust.engine import Account, Options
from .adjust.engine import adjust as run_adjust
from .cgroupfs.cgroup import Cgroup
from .cgroupfs.files import this_host
from .cgroupfs.interfaces import (
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
from .cgroupfs.tree import Tree
from .errors import UsageError
from .limits import Limits, decode, nest
from .sample import Sample
from .sample import read as read_sample

_KEYS = {"cpu.max.burst": "cpu.burst", "cpuset.cpus.partition": "cpuset.partition"}


class _Group:
    """Files of one resource. Reads come from the kernel; what is set goes to the owner as a limit."""

    def __init__(self, owner: VE | Adjustment) -> None:
        self._owner = owner

    def get_property(self, filename: bytes) -> str:
        """The text of a file, for the descriptors."""
        return self._owner.cgroup.read(filename.decode())

    def set_property(self, filename: bytes, value: Any) -> None:
        """A limit as it was given, from the descriptors."""
        name = filename.decode()
        self._owner.ask(_KEYS.get(name, name), value)


class _Period(CpuPeriodFile):
    def __set__(self, instance: Any, value: Any) -> None:
        if value is None:
            raise UsageError("cpu.period: None means nothing here. Give a time, such as 100ms")
        instance._owner.ask("cpu.period", value)


class Swap(_Group):
    """Swap, in bytes."""

    max = AmountFile("memory.swap.max")
    high = AmountFile("memory.swap.high")
    current = AmountFile("memory.swap.current", readonly=True)


class Zswap(_Group):
    """Compressed swap, in bytes."""

    max = AmountFile("memory.zswap.max")
    current = AmountFile("memory.zswap.current", readonly=True)


class Oom(_Group):
    """What dies when memory runs out."""

    group = FlagFile("memory.oom.group")


class Memory(_Group):
    """Memory, in bytes."""

    max = AmountFile("memory.max")
    high = AmountFile("memory.high")
    low = AmountFile("memory.low")
    min = AmountFile("memory.min")
    current = AmountFile("memory.current", readonly=True)
    peak = AmountFile("memory.peak", readonly=True)
    events = FlatKeyedFile("memory.events", readonly=True)
    stat = FlatKeyedFile("memory.stat", readonly=True)
    pressure = PressureFile("memory.pressure", readonly=True)

    def __init__(self, owner: VE | Adjustment) -> None:
        super().__init__(owner)
        self.swap, self.zswap, self.oom = Swap(owner), Zswap(owner), Oom(owner)


class Cpu(_Group):
    """CPU time: ``max`` in CPUs, ``period`` and ``burst`` in microseconds."""

    max = CpuMaxFile("cpu.max")
    period = _Period("cpu.max")
    burst = AmountFile("cpu.max.burst")
    weight = AmountFile("cpu.weight")
    stat = FlatKeyedFile("cpu.stat", readonly=True)
    pressure = PressureFile("cpu.pressure", readonly=True)


class Cpuset(_Group):
    """Which CPUs and nodes."""

    cpus = RangesFile("cpuset.cpus")
    mems = RangesFile("cpuset.mems")
    partition = TextFile("cpuset.cpus.partition")
    cpus_effective = RangesFile("cpuset.cpus.effective", readonly=True)
    mems_effective = RangesFile("cpuset.mems.effective", readonly=True)


class Io(_Group):
    """Disks. ``max`` is set as ``{"vda": {"wbps": "20MB/s"}}`` or ``"vda wbps=20MB/s"``, and read by MAJOR:MINOR."""

    weight = DefaultFile("io.weight")
    max = NestedKeyedFile("io.max")
    stat = NestedKeyedFile("io.stat", readonly=True)
    pressure = PressureFile("io.pressure", readonly=True)


class Pids(_Group):
    """Processes and threads."""

    max = AmountFile("pids.max")
    current = AmountFile("pids.current", readonly=True)


class _Limited:
    """The groups, for whatever has a cgroup and takes limits."""

    cgroup: Cgroup

    def _group(self, owner: Any) -> None:
        self.memory, self.cpu, self.cpuset = Memory(owner), Cpu(owner), Cpuset(owner)
        self.io, self.pids = Io(owner), Pids(owner)

    def ask(self, key: str, value: Any) -> None:
        """Ask for one limit by its key: ``memory.max``, ``vcpus``, ``hugetlb.2MB``, ``files.cgroup.pressure``."""
        raise NotImplementedError


class VE(_Limited):
    """One VE, held open. Setting an attribute is a transaction of its own. Use as a context manager, or ``close()``."""

    def __init__(self, tree: Tree, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self._tree = tree
        self.cgroup = tree.open_ve(name)
        self._group(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the VE. The VE itself goes on."""
        self.cgroup.close()
        self._tree.root.close()

    def ask(self, key: str, value: Any) -> None:
        """Set one limit by its key, now. Raises RctlError; nothing is changed then."""
        self.set({key: value})

    def set(self, limits: Mapping[str, Any] | Limits) -> Account:
        """Set limits, by dotted key or as ``Limits``, as one transaction. Raises RctlError; nothing is changed then."""
        host = this_host()
        wanted = limits if isinstance(limits, Limits) else decode(nest(_plain(limits)), host)
        return run_adjust(self._tree, {self.name: wanted}, host, self.options)

    @contextmanager
    def adjust(self) -> Iterator[Adjustment]:
        """A block that is one transaction: what is set on its target happens at the end, all or nothing."""
        with adjust(self, options=self.options) as targets:
            yield targets[0]

    def sample(self) -> Sample:
        """What the VE uses, waits for and was refused, now."""
        return read_sample(self.cgroup, self.name)


class Adjustment(_Limited):
    """The target of an ``adjust()`` block: reads are of the kernel, what is set is collected."""

    def __init__(self, ve: VE) -> None:
        self.ve = ve
        self.cgroup = ve.cgroup
        self.asked: dict[str, Any] = {}
        self._group(self)

    def ask(self, key: str, value: Any) -> None:
        """Collect one limit by its key."""
        self.asked[key] = value


@contextmanager
def adjust(*ves: VE, options: Options = Options()) -> Iterator[tuple[Adjustment, ...]]:  # noqa: B008 (frozen)
    """A block that adjusts several VEs as one transaction. Nothing happens when the block raises.

    Raises RctlError at the end of the block when the transaction fails; nothing is changed then.
    """
    if not ves:
        raise UsageError("adjust: no VE given")
    targets = tuple(Adjustment(ve) for ve in ves)
    yield targets
    host = this_host()
    limits = {target.ve.name: decode(nest(_plain(target.asked)), host) for target in targets if target.asked}
    run_adjust(ves[0]._tree, limits, host, options)


def open(name: str, options: Options = Options()) -> VE:  # noqa: A001, B008 (as in os.open; frozen)
    """Open a VE by name, or any cgroup by its path with a leading slash. Raises NotFoundError, NotAvailableError."""
    tree = Tree.open()
    try:
        return VE(tree, tree.name(tree.path(name)), options)
    except BaseException:
        tree.root.close()
        raise


def _plain(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Values as text or numbers, so that MAX and quantities read as what they print."""
    return {
        key: value if isinstance(value, str | int | float | dict | list) else str(value)
        for key, value in limits.items()
    }
