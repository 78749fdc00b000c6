"""``memory.stat``: which of its keys are amounts, which are counts of events, and the families made from them.

https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files lists the keys; they differ by kernel. A
key that is neither listed here nor named like a known event is left out until its unit is known.
"""

from __future__ import annotations

from functools import cache

from .families import PREFIX, Family

FILE = "memory.stat"

BYTES = {
    "anon": "Anonymous memory.",
    "file": "File cache, shared memory included.",
    "kernel": "Kernel memory.",
    "kernel_stack": "Kernel stacks.",
    "pagetables": "Page tables.",
    "sec_pagetables": "Page tables of virtual machines and IOMMUs.",
    "percpu": "Kernel memory kept per CPU.",
    "sock": "Network buffers.",
    "vmalloc": "Kernel memory from vmalloc.",
    "shmem": "Shared memory and tmpfs.",
    "zswap": "Memory that compressed swap takes.",
    "zswapped": "Memory that lies compressed in zswap.",
    "file_mapped": "File cache that is mapped.",
    "file_dirty": "File cache to be written.",
    "file_writeback": "File cache being written.",
    "swapcached": "Swap that is also in memory.",
    "anon_thp": "Anonymous memory in transparent huge pages.",
    "file_thp": "File cache in transparent huge pages.",
    "shmem_thp": "Shared memory in transparent huge pages.",
    "inactive_anon": "Anonymous memory on the inactive list.",
    "active_anon": "Anonymous memory on the active list.",
    "inactive_file": "File cache on the inactive list.",
    "active_file": "File cache on the active list.",
    "unevictable": "Memory that cannot be reclaimed.",
    "slab_reclaimable": "Kernel objects that can be reclaimed.",
    "slab_unreclaimable": "Kernel objects that cannot be reclaimed.",
    "slab": "Kernel objects.",
    "hugetlb": "Huge pages, if they count as memory.",
}

_EVENTS = (
    "workingset_", "pg", "thp_", "zswp", "swpin_", "swpout_", "numa_", "drop_", "nr_hugetlb_",
)  # fmt: skip
_SPELLED = {"sec_pagetables": "secondary_pagetables"}


def known(name: str) -> bool:
    """True if ``family`` makes a family of this name, with or without a counter's ``_total``."""
    key = name.removeprefix(f"{PREFIX}memory_stat_").removesuffix("_total").removesuffix("_bytes")
    found = family({spelled: key for key, spelled in _SPELLED.items()}.get(key, key))
    return found is not None and name in (found.full_name, found.sample)


@cache
def family(key: str) -> Family | None:
    """The family of a key; ``None`` if the unit of the key is not known."""
    source = (FILE, "", key)
    name = "memory_stat_" + _SPELLED.get(key, key)
    if key in BYTES:
        return Family(f"{name}_bytes", "gauge", BYTES[key], "memory_stat", False, source)
    if key.startswith(_EVENTS) and key.replace("_", "").isalnum():
        return Family(name, "counter", f"Events counted as {key} in memory.stat.", "memory_stat", False, source)
    return None
