"""Memory: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files

4.5 brought max, high, low, min (4.18), swap.max; 4.19 oom.group; 5.8 swap.high; 5.19 zswap.max, peak, reclaim; 6.8
zswap.writeback.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import File, LimitMetric, Write, flat_keyed, size_write
from ..host import Host
from ..units import Amount, Flag, Protected, Size, amount

MAX = File(
    "memory.max", "memory", rank=2, unit="bytes",
    systemd=("MemoryMax=",),
    about="The most memory. Above it, the kernel first frees memory of the VE, and then kills in it.",
    metrics=(LimitMetric("memory_max_bytes", "Most memory.", core=True),),
)  # fmt: skip
HIGH = File(
    "memory.high", "memory", rank=1, unit="bytes", without="memory cannot be throttled, only killed for",
    systemd=("MemoryHigh=",),
    about="Above it, the VE is slowed down while the kernel frees memory of it. Nothing is killed.",
    metrics=(LimitMetric("memory_high_bytes", "Memory above which the VE is throttled."),),
)  # fmt: skip
LOW = File(
    "memory.low", "memory", default="0", unit="bytes", protects=True,
    systemd=("MemoryLow=",),
    about="So much memory of the VE is not freed as long as others have memory that is not protected.",
    metrics=(LimitMetric("memory_low_bytes", "Memory that is protected from reclaim as far as possible."),),
)  # fmt: skip
MIN = File(
    "memory.min", "memory", default="0", since="4.18", unit="bytes", protects=True,
    systemd=("MemoryMin=",),
    about="So much memory of the VE is never freed, even if others are killed for lack of memory.",
    metrics=(LimitMetric("memory_min_bytes", "Memory that is always protected from reclaim."),),
)  # fmt: skip
SWAP_MAX = File(
    "memory.swap.max", "memory", rank=3, unit="bytes", without="swap cannot be limited",
    systemd=("MemorySwapMax=",),
    about="The most swap, not counting memory. Above it, memory of the VE stays in memory.",
    metrics=(LimitMetric("swap_max_bytes", "Most swap.", core=True),),
)  # fmt: skip
SWAP_HIGH = File(
    "memory.swap.high", "memory", since="5.8", rank=3, unit="bytes",
    about="Above it, the VE is slowed down for as long as it uses more swap.",
    metrics=(LimitMetric("swap_high_bytes", "Swap above which the VE is throttled."),),
)  # fmt: skip
ZSWAP_MAX = File(
    "memory.zswap.max", "memory", since="5.19", rank=3, unit="bytes", without="compressed swap cannot be limited",
    systemd=("MemoryZSwapMax=",),
    about="The most memory that compressed swap (zswap) of the VE may take.",
    metrics=(LimitMetric("zswap_max_bytes", "Most memory for compressed swap."),),
)  # fmt: skip
ZSWAP_WRITEBACK = File(
    "memory.zswap.writeback", "memory", default="1", since="6.8", unit="flag",
    systemd=("MemoryZSwapWriteback=",),
    about="Whether compressed swap, and what does not fit in it, may go to disk.",
    metrics=(LimitMetric("zswap_writeback", "Whether compressed swap, and what does not fit in it, may go to disk."),),
)  # fmt: skip
OOM_GROUP = File(
    "memory.oom.group", "memory", default="0", since="4.19", unit="flag",
    systemd=("OOMPolicy=",),
    about="1: when memory runs out, the kernel kills all processes of the VE and not a single one.",
    metrics=(LimitMetric("memory_oom_group", "Whether running out of memory kills the VE as a whole."),),
)  # fmt: skip
FILES = (MAX, HIGH, LOW, MIN, SWAP_MAX, SWAP_HIGH, ZSWAP_MAX, ZSWAP_WRITEBACK, OOM_GROUP)


SWAP = ("memory.swap.", "memory.zswap.")
"""How the names of the files begin that are not there without swap accounting."""


class Swap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Swap alone, not memory plus swap (as cgroup v1 and OCI count it)."""

    max: Size | UnsetType = UNSET
    high: Size | UnsetType = UNSET


class Zswap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Compressed swap held in memory. ``writeback``: whether it, and what does not fit in it, may go to disk."""

    max: Size | UnsetType = UNSET
    writeback: Flag | UnsetType = UNSET


class Oom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``group``: kill the whole VE, or one process, when memory runs out."""

    group: Flag | UnsetType = UNSET


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits in bytes. ``max`` is hard, ``high`` throttles, ``low`` and ``min`` protect. Unset: left as it is."""

    max: Size | UnsetType = UNSET
    high: Size | UnsetType = UNSET
    low: Protected | UnsetType = UNSET
    min: Protected | UnsetType = UNSET
    swap: Swap = Swap()
    zswap: Zswap = Zswap()
    oom: Oom = Oom()


class MemoryStat(msgspec.Struct, frozen=True):
    """Use in bytes; ``events`` and ``stat`` as the kernel names them. ``None``: this kernel does not tell."""

    current: int
    max: Amount
    high: Amount
    swap_current: int | None = None
    swap_max: Amount | None = None
    peak: int | None = None
    events: dict[str, int] = {}
    stat: dict[str, int] = {}


def writes(limits: Memory, host: Host) -> tuple[Write, ...]:
    """The entries that these limits ask for, sizes rounded down to pages as the kernel does."""
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
    """From file texts by name; ``None`` where the controller is not enabled."""
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
