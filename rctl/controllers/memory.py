"""Memory: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files

max, high, low and min came with Linux 4.5, swap.max with 4.5, oom.group with 4.19, swap.high with 5.8, zswap.max, peak
and reclaim with 5.19, zswap.writeback with 6.8.
"""

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import File, LimitMetric, Write, flat_keyed, size_write
from ..host import Host
from ..units import Amount, Flag, Protected, Size, amount

MAX = File(
    "memory.max", "memory", rank=2, unit="bytes",
    systemd=("MemoryMax=",), docker=("Memory",),
    about="Most memory. Above it, the kernel first frees memory of the VE, and then kills processes of it.",
    metrics=(LimitMetric("memory_max_bytes", "Most memory.", core=True),),
)  # fmt: skip
HIGH = File(
    "memory.high", "memory", rank=1, unit="bytes", without="memory cannot be throttled, only killed for",
    systemd=("MemoryHigh=",),
    about="Above so much memory, the VE is slowed while the kernel frees memory of it. No process is killed.",
    metrics=(LimitMetric("memory_high_bytes", "Memory above which the VE is throttled."),),
)  # fmt: skip
LOW = File(
    "memory.low", "memory", default="0", unit="bytes", protects=True,
    systemd=("MemoryLow=",), docker=("MemoryReservation",),
    about="Memory of the VE that the kernel does not free while others have unprotected memory.",
    metrics=(LimitMetric("memory_low_bytes", "Memory that is protected from reclaim as far as possible."),),
)  # fmt: skip
MIN = File(
    "memory.min", "memory", default="0", since="4.18", unit="bytes", protects=True,
    systemd=("MemoryMin=",),
    about="Memory of the VE that the kernel never frees, even if it must kill processes of others.",
    metrics=(LimitMetric("memory_min_bytes", "Memory that is always protected from reclaim."),),
)  # fmt: skip
SWAP_MAX = File(
    "memory.swap.max", "memory", rank=3, unit="bytes", without="swap cannot be limited",
    systemd=("MemorySwapMax=",), docker=("MemorySwap",),
    about="Most swap, not counting memory. Above it, the kernel moves no more memory of the VE to swap.",
    metrics=(LimitMetric("swap_max_bytes", "Most swap.", core=True),),
)  # fmt: skip
SWAP_HIGH = File(
    "memory.swap.high", "memory", since="5.8", rank=3, unit="bytes",
    about="Above so much swap, the VE is slowed.",
    metrics=(LimitMetric("swap_high_bytes", "Swap above which the VE is throttled."),),
)  # fmt: skip
ZSWAP_MAX = File(
    "memory.zswap.max", "memory", since="5.19", rank=3, unit="bytes", without="compressed swap cannot be limited",
    systemd=("MemoryZSwapMax=",),
    about="Most memory that compressed swap (zswap) of the VE may take.",
    metrics=(LimitMetric("zswap_max_bytes", "Most memory for compressed swap."),),
)  # fmt: skip
ZSWAP_WRITEBACK = File(
    "memory.zswap.writeback", "memory", default="1", since="6.8", unit="flag",
    systemd=("MemoryZSwapWriteback=",),
    about="1: compressed swap, and memory that does not fit in it, may go to disk. 0: it stays in memory.",
    metrics=(
        LimitMetric("zswap_writeback", "Whether compressed swap, and memory that does not fit in it, may go to disk."),
    ),
)  # fmt: skip
OOM_GROUP = File(
    "memory.oom.group", "memory", default="0", since="4.19", unit="flag",
    systemd=("OOMPolicy=",),
    about="1: when memory runs out, the kernel kills all processes of the VE. 0: it kills one.",
    metrics=(LimitMetric("memory_oom_group", "Whether running out of memory kills the VE as a whole."),),
)  # fmt: skip
FILES = (MAX, HIGH, LOW, MIN, SWAP_MAX, SWAP_HIGH, ZSWAP_MAX, ZSWAP_WRITEBACK, OOM_GROUP)


SWAP = ("memory.swap.", "memory.zswap.")
"""The beginnings of the names of files that exist only with swap accounting."""


class Swap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Swap alone, not memory plus swap as in cgroup v1 and OCI."""

    max: Size | UnsetType = UNSET
    high: Size | UnsetType = UNSET


class Zswap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Compressed swap in memory. ``writeback``: it, and memory that does not fit in it, may go to disk."""

    max: Size | UnsetType = UNSET
    writeback: Flag | UnsetType = UNSET


class Oom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``group``: 1 kills the whole VE when memory runs out, 0 one process."""

    group: Flag | UnsetType = UNSET


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits in bytes. ``max`` is hard, ``high`` throttles, ``low`` and ``min`` protect. Unset: unchanged."""

    max: Size | UnsetType = UNSET
    high: Size | UnsetType = UNSET
    low: Protected | UnsetType = UNSET
    min: Protected | UnsetType = UNSET
    swap: Swap = Swap()
    zswap: Zswap = Zswap()
    oom: Oom = Oom()


class MemoryStat(msgspec.Struct, frozen=True):
    """Use in bytes; ``events`` and ``stat`` with the kernel's names. ``None``: this kernel does not have it."""

    current: int
    max: Amount
    high: Amount
    swap_current: int | None = None
    swap_max: Amount | None = None
    peak: int | None = None
    events: dict[str, int] = {}
    stat: dict[str, int] = {}


def writes(limits: Memory, host: Host) -> tuple[Write, ...]:
    """The entries to write for these limits, sizes rounded down to pages as the kernel does."""
    wanted = (
        (MAX, limits.max),
        (HIGH, limits.high),
        (LOW, limits.low),
        (MIN, limits.min),
        (SWAP_MAX, limits.swap.max),
        (SWAP_HIGH, limits.swap.high),
        (ZSWAP_MAX, limits.zswap.max),
    )
    sizes = tuple(size_write(f, v, host.page_size) for f, v in wanted if v is not UNSET)
    flags = ((OOM_GROUP, limits.oom.group), (ZSWAP_WRITEBACK, limits.zswap.writeback))
    return (*sizes, *(Write(file, str(value)) for file, value in flags if value is not UNSET))


READ = (
    "memory.current", MAX.name, HIGH.name, "memory.swap.current", SWAP_MAX.name, "memory.peak", "memory.events",
    "memory.stat",
)  # fmt: skip
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> MemoryStat | None:
    """The statistics, from file texts by name; ``None`` if the controller is not enabled."""
    if "memory.current" not in texts:
        return None
    return MemoryStat(
        current=int(texts["memory.current"]),
        max=amount(texts.get("memory.max", "max")),
        high=amount(texts.get("memory.high", "max")),
        swap_current=int(texts["memory.swap.current"]) if "memory.swap.current" in texts else None,
        swap_max=amount(texts["memory.swap.max"]) if "memory.swap.max" in texts else None,
        peak=int(texts["memory.peak"]) if "memory.peak" in texts else None,
        events=flat_keyed(texts.get("memory.events", "")),
        stat=flat_keyed(texts.get("memory.stat", "")),
    )
