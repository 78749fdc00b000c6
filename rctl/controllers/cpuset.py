"""CPUs and memory nodes: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpuset-interface-files

cpus, mems and cpus.partition came with Linux 5.0, cpus.exclusive with 6.7.
``vcpus`` is rctl's own limit: a number of whole CPUs, for which rctl picks a list here.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import File, Write
from ..host import Host
from ..ranges import Ranges


class ListFile(File, frozen=True):
    """A list of numbers. It allows as much as it has members; an empty list allows the same as the parent."""

    def wish(self, text: str, page: int) -> tuple[str, str]:
        return "", str(Ranges.parse(text))

    def lowers(self, old: str, new: str) -> bool:
        return bool(new) and (not old or len(Ranges.parse(new).numbers) < len(Ranges.parse(old).numbers))


class ExclusiveCpus(ListFile, frozen=True):
    """The CPUs that a partition takes from others; an empty list takes those in ``cpuset.cpus``."""

    def lowers(self, old: str, new: str) -> bool:
        return not set(Ranges.parse(old).numbers) <= set(Ranges.parse(new).numbers)  # others may take the CPUs


class Partition(File, frozen=True):
    """``member``, ``root`` or ``isolated``. An invalid one reads ``root invalid (REASON)`` and may become valid.

    The kernel alone decides that, so both states are put back by writing the word.
    """

    def wish(self, text: str, page: int) -> tuple[str, str]:
        if text not in get_args(PartitionKind):
            raise ValueError(f"{text[:64]!r} is not a kind of partition. Write it like root, isolated or member")
        return "", text

    def line(self, entry: str, key: str = "") -> str:
        return entry.partition(INVALID)[0]

    def lowers(self, old: str, new: str) -> bool:
        return new == MEMBER  # it returns its CPUs before others take them; its rank puts it before its lists

    def holds(self, entry: str, wanted: str) -> bool:
        same = self.line(entry) == self.line(wanted)
        return entry == wanted or (same and (INVALID in wanted or waits(entry)))

    def unchanged(self, entry: str, wanted: str) -> bool:
        return self.line(entry) == self.line(wanted)  # CPU hotplug alone may make it invalid, and valid again

    def refused(self, entry: str) -> str:
        if INVALID in entry:
            reason = entry.partition(INVALID)[2].strip(" ()") or "none given"
            remedy = ". Set cpuset.exclusive here and in each cgroup above" * (EXCLUSIVE.name in reason)
            return f"The kernel's reason: {reason}{remedy}"
        return super().refused(entry)


def waits(entry: str) -> bool:
    """True if a partition waits for its parent to become one: the kernel then makes it valid by itself."""
    return entry.partition(INVALID)[2].startswith(" (Parent is ")


INVALID, MEMBER = " invalid", "member"
PartitionKind = Literal["member", "root", "isolated"]

CPUS = ListFile(
    "cpuset.cpus", "cpuset", default="", since="5.0", rank=0,
    systemd=("AllowedCPUs=", "StartupAllowedCPUs="), docker=("CpusetCpus",),
    about="CPUs that the VE may run on, by number.",
)  # fmt: skip
MEMS = ListFile(
    "cpuset.mems", "cpuset", default="", since="5.0", rank=0,
    systemd=("AllowedMemoryNodes=", "StartupAllowedMemoryNodes="), docker=("CpusetMems",),
    about="Memory nodes that the VE may use, by number.",
)  # fmt: skip
PARTITION = Partition(
    "cpuset.cpus.partition", "cpuset", key="cpuset.partition", default=MEMBER, since="5.0", rank=-1,
    systemd=("CPUSetPartition=",),
    about="root: no other VE uses its CPUs. isolated: also, the scheduler does not balance load among them.",
)  # fmt: skip
EXCLUSIVE = ExclusiveCpus(
    "cpuset.cpus.exclusive", "cpuset", key="cpuset.exclusive", default="", since="6.7", rank=5,
    about="CPUs reserved for partitions in the VE and below. No sibling may use them.",
)  # fmt: skip
FILES = (CPUS, MEMS, EXCLUSIVE, PARTITION)


class Cpuset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lists (``0-3,8``); empty: the parent's. ``exclusive``: the CPUs of a partition. ``partition``: its kind."""

    cpus: Ranges | UnsetType = UNSET
    mems: Ranges | UnsetType = UNSET
    partition: PartitionKind | UnsetType = UNSET
    exclusive: Ranges | UnsetType = UNSET


class CpusetStat(msgspec.Struct, frozen=True):
    """The lists that are set, and those in effect after the parents and CPU hotplug."""

    cpus: Ranges
    cpus_effective: Ranges
    mems_effective: Ranges


def writes(limits: Cpuset, host: Host) -> tuple[Write, ...]:
    """The entries to write for these limits."""
    wanted = (
        (CPUS, limits.cpus),
        (MEMS, limits.mems),
        (EXCLUSIVE, limits.exclusive),
        (PARTITION, limits.partition),
    )
    return tuple(Write(file, str(value)) for file, value in wanted if value is not UNSET)


READ = (CPUS.name, "cpuset.cpus.effective", "cpuset.mems.effective")
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> CpusetStat | None:
    """The lists, from file texts by name; ``None`` if the controller is not enabled."""
    if not all(name in texts for name in READ):
        return None
    return CpusetStat(*(Ranges.parse(texts[name]) for name in READ))


def pick(
    count: int, nodes: Mapping[int, tuple[int, ...]], promised: Mapping[int, int], held: Iterable[int] = ()
) -> Ranges:
    """Choose ``count`` CPUs: first those already ``held``, then on as few nodes as possible, the least promised first.

    ``nodes``: the online CPUs of each node. ``promised``: the number of other VEs to which each CPU is promised
    (missing: none). The same input gives the same result. Raises ValueError if the host has fewer CPUs online.
    """
    online = {cpu for cpus in nodes.values() for cpu in cpus}
    if count > len(online):
        raise ValueError(f"vcpus: {count} asked for, and this host has {len(online)} CPUs online. Ask for fewer")
    kept = set(held) & online

    def load(cpu: int) -> tuple[bool, int, int]:
        return (cpu not in kept, promised.get(cpu, 0), cpu)

    def node_order(item: tuple[int, tuple[int, ...]]) -> tuple[int, int, float, int]:
        number, cpus = item
        mean = sum(promised.get(c, 0) for c in sorted(cpus, key=load)[:count]) / max(1, min(count, len(cpus)))
        fits = 0 if len(cpus) >= count else 1
        return (-len(kept.intersection(cpus)), fits, mean if not fits else -len(cpus), number)

    chosen: list[int] = []
    order = sorted(nodes.items(), key=node_order)
    for wanted in kept, online - kept:
        for _, cpus in order:
            chosen += sorted(wanted.intersection(cpus), key=load)[: count - len(chosen)]
    return Ranges(tuple(chosen))
