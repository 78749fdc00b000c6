"""Limits in force that this host does not enforce, and the reasons: one table for ``set``, ``show``, ``doctor`` and
the exporter. Pure: the facts are parameters.

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/scheduler/sched-ext.html
"""

from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

from .controllers import cpu, io, memory
from .controllers.cpu import cpus_of
from .host import Host
from .units import human_size

EXT = 7
REAL_TIME = frozenset({1, 2, 6})
"""SCHED_FIFO, SCHED_RR and SCHED_DEADLINE; ``EXT`` is SCHED_EXT (sched(7), include/uapi/linux/sched.h)."""

HUGETLB = "memory_hugetlb_accounting"
"""The mount option with which memory.max counts huge pages (Linux 6.7)."""

Policies = Mapping[int, Collection[int]]
"""The ids of threads by scheduling policy, of those policies that the fair class does not have."""


class Conditions(msgspec.Struct, frozen=True):
    """What decides whether a VE's limit is enforced. Each fact is asked for only when a limit depends on it.

    ``iocost``: the disks, as ``MAJOR:MINOR``, that use iocost. ``bfq``: the VE has ``io.bfq.weight``. ``policies``:
    those of the VE's threads. ``huge``: bytes of huge pages that the VE uses. ``hugetlb_counted``: memory.max counts
    them (mount option ``memory_hugetlb_accounting``).
    """

    host: Host
    iocost: Callable[[], Collection[str]] = tuple
    bfq: Callable[[], bool] = bool
    policies: Callable[[], Policies] = dict
    huge: Callable[[], int] = int
    hugetlb_counted: bool = False


class NotEnforced(msgspec.Struct, frozen=True):
    """A limit that is not enforced. ``limit``: its file; ``device``: as ``MAJOR:MINOR``, or empty.

    ``reason``: a word for programs, from ``REASONS``. ``why``: a sentence for people. ``of_host``: true of each VE.
    """

    limit: str
    device: str
    reason: str
    why: str
    of_host: bool = False


class Reason(msgspec.Struct, frozen=True):
    """One reason. ``word``: for programs. ``about``: the case, for people.

    ``told``: the sentence about an entry, from its file, its key and its text; ``None`` if the entry is enforced.
    ``of_host``: the same sentence is true of all VEs with such a limit.
    """

    word: str
    files: tuple[str, ...]
    about: str
    told: Callable[[str, str, str, Conditions], str | None]
    of_host: bool = False


def check(file: str, key: str, entry: str, on: Conditions) -> Iterator[NotEnforced]:
    """The reasons why this entry is not enforced. ``key``: a device, ``default`` or empty.

    Raises OSError for facts of the host that cannot be read.
    """
    for one in REASONS:
        if file in one.files and (why := one.told(file, key, entry, on)):
            yield NotEnforced(file, key if key != "default" else "", one.word, why, one.of_host)


def _limits_cpu(file: str, entry: str) -> bool:
    if file == cpu.MAX.name:
        return cpus_of(entry) is not None
    return entry not in (_DEFAULTS[file], "0")  # cpu.weight is 0 while cpu.idle is 1


_DEFAULTS = {one.name: one.default for one in (cpu.MAX, cpu.BURST, cpu.IDLE, cpu.WEIGHT)}


def _sched_ext(file: str, _: str, entry: str, on: Conditions) -> str | None:
    """The kernel only tells a sched_ext scheduler of these values; what it does with them does not show."""
    if not _limits_cpu(file, entry) or not (name := on.host.sched_ext) or not on.host.sched_ext_all:
        return None
    return f"{file}: the sched_ext scheduler {name} runs this host: without effect, unless {name} itself heeds {file}"


def _policy(file: str, _: str, entry: str, on: Conditions) -> str | None:
    if not _limits_cpu(file, entry):
        return None
    found = on.policies()
    those = [tid for policy in sorted(REAL_TIME) for tid in found.get(policy, ())]
    if those:
        return (
            f"{file} does not hold {_threads(those)}, with a real-time or deadline policy. "
            f"Give them the usual one: chrt --other -p 0 {those[0]}"
        )
    if not (name := on.host.sched_ext) or not (those := list(found.get(EXT, ()))):
        return None
    return f"{file} does not hold {_threads(those)}, which the sched_ext scheduler {name} runs, unless it heeds {file}"


def _threads(those: Collection[int]) -> str:
    return "1 of its threads" if len(those) == 1 else f"{len(those)} of its threads"


def _no_weights(_: str, device: str, entry: str, on: Conditions) -> str | None:
    if device == "default":
        if entry == io.WEIGHT.default or on.iocost() or on.bfq():
            return None
        return "io.weight: accepted, and without effect: no disk uses iocost or BFQ. See rctl doctor"
    if entry == "default" or device in on.iocost() or on.host.scheduler(device) == "bfq":
        return None
    return f"io.weight {on.host.disk(device)}: accepted, and without effect: it uses neither iocost nor BFQ"


def _no_requests(_: str, device: str, entry: str, on: Conditions) -> str | None:
    """Limits that act on requests: arrays and most mapped devices pass I/O on without making requests."""
    if entry == io.LATENCY.default or on.host.queues(device) is not False:
        return None
    disk = on.host.disk(device)
    members = {on.host.whole(member) for member, (array, _) in on.host.arrays.items() if array == disk}
    name = ", ".join(sorted(members)) or f"the disks below it (/sys/block/{disk}/slaves)"
    return f"io.latency {disk}: without effect: {disk} has no queue of requests. Name {name}"


def _no_swap(file: str, _: str, entry: str, on: Conditions) -> str | None:
    if entry in ("max", "0") or on.host.swap:
        return None
    return f"{file} is {human_size(int(entry))}, and this host has no swap: without effect. See swapon(8)"


def _no_zswap(file: str, _: str, entry: str, on: Conditions) -> str | None:
    if entry in ("max", "1") or on.host.zswap:
        return None
    size = entry if file == memory.ZSWAP_WRITEBACK.name else human_size(int(entry))
    return f"{file} is {size}, and zswap is off: without effect. See /sys/module/zswap/parameters/enabled"


def _huge_pages(file: str, _: str, entry: str, on: Conditions) -> str | None:
    if entry == "max" or on.hugetlb_counted or not on.host.hugetlb or not (huge := on.huge()):
        return None
    return (
        f"{file} does not count {human_size(huge)} of huge pages that the VE uses. Limit them with hugetlb.SIZE.max, "
        f"or mount cgroup2 with the option {HUGETLB}"
    )


REASONS: tuple[Reason, ...] = (
    Reason(
        "sched_ext", tuple(_DEFAULTS), "may be without effect under a sched_ext scheduler", _sched_ext, of_host=True,
    ),
    Reason("policy", (cpu.MAX.name,), "does not hold threads with a real-time or deadline policy", _policy),
    Reason(
        "no_weights", (io.WEIGHT.name,), "without effect where no disk uses iocost or BFQ", _no_weights, of_host=True,
    ),
    Reason(
        "no_requests", (io.LATENCY.name,), "without effect on md and most of device mapper: name disks", _no_requests,
    ),
    Reason("no_swap", (memory.SWAP_MAX.name, memory.SWAP_HIGH.name), "without effect on a host without swap", _no_swap),
    Reason(
        "no_zswap", (memory.ZSWAP_MAX.name, memory.ZSWAP_WRITEBACK.name), "without effect where zswap is off",
        _no_zswap,
    ),
    Reason(
        "huge_pages", (memory.MAX.name, memory.HIGH.name), "counts huge pages only by a mount option of cgroup2",
        _huge_pages,
    ),
)  # fmt: skip
"""Every reason."""
FILES = frozenset(file for one in REASONS for file in one.files)
"""The files whose limits may be not enforced."""
