"""Facts of the host that controllers need: pages, memory, CPUs, nodes. This file parses; the reader is a parameter.

Each fact is read when it is first used, and only once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from .late_regex import regex
from .ranges import Ranges

Reader = Callable[[str], str]
_ABSENT = (FileNotFoundError, PermissionError)
"""The file is missing, or this user may not read it. Any other failure says nothing about the host."""
_SCHED_EXT = "/sys/kernel/sched_ext"
_ARRAY = regex(r"^(md\S*) : active .*?\b(raid[0-9]+|linear) (.*)")


class Host:
    """Facts of one host. ``read`` returns the text of a file by absolute path, and raises OSError if it is missing."""

    def __init__(self, read: Reader, page_size: int = 4096) -> None:
        self._read = read
        self.page_size = page_size

    @cached_property
    def memory(self) -> int:
        """Bytes of RAM (``MemTotal`` in proc(5) meminfo)."""
        if (size := self._meminfo("MemTotal")) is None:
            raise ValueError("/proc/meminfo has no MemTotal")
        return size

    @cached_property
    def hugetlb(self) -> int:
        """Bytes of memory in huge pages of all sizes, used or reserved (``Hugetlb`` in proc(5) meminfo)."""
        return self._meminfo("Hugetlb") or 0

    def _meminfo(self, name: str) -> int | None:
        """Bytes of one line of /proc/meminfo; ``None`` if there is no such line."""
        found = self._memory_text.partition(f"\n{name}:")[2]
        return int(found.split(None, 1)[0]) * 1024 if found else None

    @cached_property
    def _memory_text(self) -> str:
        return "\n" + self._read("/proc/meminfo")

    @cached_property
    def swap(self) -> int:
        """Bytes of swap (proc(5) swaps); 0 without swap."""
        return self._swap(-3)

    def swap_used(self) -> int:
        """Bytes of swap in use now."""
        return self._swap(-2)

    def _swap(self, column: int) -> int:
        _, *areas = self._read("/proc/swaps").splitlines() or [""]
        return sum(int(area.split()[column]) * 1024 for area in areas)

    def tasks(self) -> int:
        """The number of processes and threads now (proc(5) loadavg)."""
        return int(self._read("/proc/loadavg").split()[3].partition("/")[2])

    @cached_property
    def zswap(self) -> bool:
        """True if zswap is on (https://docs.kernel.org/admin-guide/mm/zswap.html)."""
        try:
            return self._read("/sys/module/zswap/parameters/enabled").strip() == "Y"
        except _ABSENT:
            return False

    @cached_property
    def sched_ext(self) -> str:
        """The name of the sched_ext scheduler that is loaded; empty if none is.

        https://docs.kernel.org/scheduler/sched-ext.html
        """
        if self._if_there(f"{_SCHED_EXT}/state").strip() != "enabled":
            return ""
        return self._if_there(f"{_SCHED_EXT}/root/ops").strip() or "(without a name)"

    @cached_property
    def sched_ext_all(self) -> bool:
        """True if it runs all ordinary threads; otherwise only those with the policy SCHED_EXT."""
        return self._if_there(f"{_SCHED_EXT}/switch_all").strip() != "0"

    @cached_property
    def arrays(self) -> Mapping[str, tuple[str, str]]:
        """Name and level of each member's array, by the member's kernel name (md(4), /proc/mdstat)."""
        try:
            lines = self._read("/proc/mdstat").splitlines()
        except _ABSENT:
            return {}
        found = [match.groups() for match in map(_ARRAY.match, lines) if match]
        return {
            word.partition("[")[0]: (name, level) for name, level, rest in found for word in rest.split() if "[" in word
        }

    def queues(self, number: str) -> bool | None:
        """True if a disk, by ``MAJOR:MINOR``, has a queue of requests; md, most of device mapper and brd have none.

        ``None``: the disk cannot be looked at.

        Without a queue, ``io.latency``, iocost and I/O schedulers have no effect (block/blk-mq-sysfs.c).
        """
        try:
            return bool(self._read(f"/sys/dev/block/{number}/mq/0/nr_tags"))
        except FileNotFoundError:
            return False if self._if_there(f"/sys/dev/block/{number}/uevent") else None
        except PermissionError:
            return None

    def huge_pages(self, size: int) -> int | None:
        """The number of huge pages of ``size`` bytes, with those in ``nr_overcommit_hugepages``; ``None``: no such
        size.

        https://docs.kernel.org/admin-guide/mm/hugetlbpage.html
        """
        folder = f"/sys/kernel/mm/hugepages/hugepages-{size >> 10}kB"
        try:
            return sum(int(self._read(f"{folder}/{name}")) for name in ("nr_hugepages", "nr_overcommit_hugepages"))
        except _ABSENT:
            return None

    def whole(self, name: str) -> str:
        """The disk of a partition, by the kernel's names; any other name unchanged."""
        part = f"/sys/class/block/{name}"
        if not self._if_there(f"{part}/partition"):
            return name
        return _device_name(self._if_there(f"{part}/../uevent")) or name  # a link into the disk's own folder

    def _if_there(self, path: str) -> str:
        try:
            return self._read(path)
        except _ABSENT:
            return ""

    def scheduler(self, number: str) -> str:
        """The I/O scheduler of a disk by ``MAJOR:MINOR``; ``none`` if it has none."""
        try:
            text = self._read(f"/sys/dev/block/{number}/queue/scheduler")
        except _ABSENT:
            return "none"
        return text.partition("[")[2].partition("]")[0] or "none"

    def disk(self, number: str) -> str:
        """The kernel's name of a disk by ``MAJOR:MINOR``. Raises OSError if there is no such disk."""
        return _device_name(self._read(f"/sys/dev/block/{number}/uevent"))

    @cached_property
    def cpus(self) -> tuple[int, ...]:
        """Numbers of the CPUs that are online."""
        return Ranges.parse(self._read("/sys/devices/system/cpu/online")).numbers

    @cached_property
    def nodes(self) -> Mapping[int, tuple[int, ...]]:
        """The online CPUs of each NUMA node; one node 0 on a kernel without NUMA."""
        try:
            numbers = Ranges.parse(self._read("/sys/devices/system/node/online")).numbers
            lists = {n: self._read(f"/sys/devices/system/node/node{n}/cpulist") for n in numbers}
        except _ABSENT:
            return {0: self.cpus}
        online = set(self.cpus)
        return {n: tuple(c for c in Ranges.parse(text).numbers if c in online) for n, text in lists.items()}

    @cached_property
    def boot_id(self) -> str:
        """An id that changes at each boot; cgroups do not outlive a boot."""
        return self._read("/proc/sys/kernel/random/boot_id").strip()


def _device_name(uevent: str) -> str:
    return next((line.partition("=")[2] for line in uevent.splitlines() if line.startswith("DEVNAME=")), "")
