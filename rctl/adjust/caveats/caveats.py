"""Values that the kernel takes and does not follow, or not as expected. rctl reports them, so that nobody relies on
them.

``CAVEATS`` has one row for each case; ``rctl help caveats`` shows them.
https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import this_host
from ...cgroupfs.tree import Tree
from ...controllers import core, cpu, cpuset, hugetlb, io, memory, pids
from ...controllers.cpu import cpus_of
from ...errors import OUT_OF, RctlError
from ...errors import told as why
from ...host import Host
from ...not_enforced import REASONS, Reason
from ...units import amount, as_number, human_size, level
from ..steps import Reclaim, Set, Step, by_entry
from . import cpuset_caveats
from .context import Surroundings, moment

_ALL = 10
_FIRST = 3
"""If there are more VEs than ``_ALL``, so many are named."""
_HUGE = "hugetlb.SIZE.max"


class Caveat(msgspec.Struct, frozen=True):
    """One case. ``files``: the case may apply if one of these is set. ``about``: the case, for people.

    ``told``: returns the sentence about a step; ``None`` if the case does not apply. ``written``: it can only be
    checked after the write, so a dry run cannot tell.
    """

    files: tuple[str, ...]
    about: str
    told: Callable[[Set, Surroundings], str | None]
    written: bool = False


def caveats(
    tree: Tree,
    steps: Sequence[Step],
    cgroups: Mapping[str, Cgroup],
    *,
    planned: bool = False,
    host: Host | None = None,
) -> list[str]:
    """A line for each limit that is not, or not fully, in effect.

    ``planned``: nothing has been written yet. ``host``: unset, the one that rctl runs on.
    """
    rows = _rows(planned)
    around = Surroundings(tree, host or _this(), steps, cgroups)
    found: dict[Caveat, dict[str, None]] = {}
    unseen: list[str] = []
    for step in _in_the_end(steps):
        if not isinstance(step, Set):
            continue
        for row in rows[step.file]:
            try:
                told = row.told(step, around)
            except (RctlError, OSError, ValueError) as error:  # the limits are set; a removed VE needs no caveat
                if getattr(error, "errno", 0) not in OUT_OF:
                    continue
                unseen = [f"the caveats of these limits could not be looked at: {why(error)}. See rctl help caveats"]
                continue
            if told:
                found.setdefault(row, {})[told] = None
    return [line for lines in found.values() for line in _shortened(list(lines))] + unseen


def _in_the_end(steps: Sequence[Step]) -> Iterable[Step]:
    """The final change of each entry: ``memory.high`` that is lowered only for a shrink is left out."""
    if Reclaim not in set(map(type, steps)):
        return steps
    return _folded(steps)


def _folded(steps: Sequence[Step]) -> Iterator[Set]:
    """One step for each entry."""
    for first, *more in by_entry(steps).values():
        last = more[-1] if more else first
        if first.old == last.old:
            yield last
        elif first.old != last.new:
            yield msgspec.structs.replace(last, old=first.old)


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _ALL:
        return lines
    return [*lines[:_FIRST], f"and the same of {len(lines) - _FIRST} more VEs"]


def _this() -> Host:
    return _host(moment())


@lru_cache(1)
def _host(_moment: int) -> Host:
    """The host; its facts are read again with each moment."""
    return this_host()


def _array_member(step: Set, around: Surroundings) -> str | None:
    """With RAID 4, 5 and 6, a kernel thread writes to the members; it belongs to no VE."""
    if step.new == io.MAX.default or not (arrays := around.host.arrays):
        return None
    disk = _disk(step, around)
    part = re.compile(rf"{re.escape(disk)}(p?[0-9]+)?")
    array, level = next((found for member, found in arrays.items() if part.fullmatch(member)), ("", ""))
    if not array:
        return None
    if level in _PARITY:
        return f"{step.path}: io.max {disk}: no limit for writes to {array}, of which it is a member. Name {array}"
    return (
        f"{step.path}: io.max {disk}: limits what goes to {disk} alone, and it is one of the members of {array} "
        f"({level}). For a limit of the whole, name {array}"
    )


_PARITY = ("raid4", "raid5", "raid6")


def _disk(step: Set, around: Surroundings) -> str:
    return around.host.disk(step.key)


def _unprotected_above(step: Set, around: Surroundings) -> str | None:
    """The protection of each cgroup above bounds the protection of a cgroup; the root has no such bound."""
    for path in around.above(step.path):
        if level(around.entry(path, step.file)) < level(step.new):
            protects = _size(around.entry(path, step.file))
            return (
                f"{step.path}: {step.file} is {_size(step.new)}, and in effect at most {protects}: "
                f"{path} protects no more. Set {step.file} there, too"
            )
    return None


def _charged_above(step: Set, around: Surroundings) -> str | None:
    """Memory is charged where it is taken, and stays charged there: to the cgroup that had the controller then."""
    if step.new == "max" or "memory" not in around.enabled_for(step.path):
        return None
    if not core.parse({core.EVENTS: around.text(step.path, core.EVENTS) or ""}).populated:
        return None
    return (
        f"{step.path}: its processes began without the memory controller: what they have taken so far does not count. "
        f"{step.file} counts what they take from now on. Start them again to have all of it counted"
    )


def _above_own_max(step: Set, around: Surroundings) -> str | None:
    limit = around.entry(step.path, memory.MAX.name)
    if step.new == "max" or level(limit) >= level(step.new):
        return None
    size = _size(limit)
    return f"{step.path}: {step.file} is {_size(step.new)}, and memory.max is {size}: it protects no more than that"


def _above_ram(step: Set, around: Surroundings) -> str | None:
    if step.new == "max" or int(step.new) <= around.host.memory:
        return None
    ram = human_size(around.host.memory)
    return f"{step.path}: {step.file} is {_size(step.new)}, and this host has {ram} of memory: it never binds"


def _above_pool(step: Set, around: Surroundings) -> str | None:
    if step.new == "max" or not (file := hugetlb.FILE.fullmatch(step.file)):
        return None
    page = hugetlb.file(file[1]).page
    if (pages := around.host.huge_pages(page)) is None or int(step.new) <= pages * page:
        return None
    there = f"{human_size(pages * page)} of these huge pages" if pages else "no such huge pages"
    return f"{step.path}: {step.file} is {_size(step.new)}, and this host has {there}: it never binds"


def _crawls(step: Set, around: Surroundings) -> str | None:
    if level(step.new) >= level(step.old):
        return None
    current = int(around.text(step.path, "memory.current") or 0)
    if current <= level(step.new):
        return None
    return (
        f"{step.path}: memory.high is {_size(step.new)}, and {human_size(current)} in use cannot be reclaimed: "
        "the VE is slowed down all the time. Raise memory.high, add swap, or free memory in the VE"
    )


def _high_never_met(step: Set, around: Surroundings) -> str | None:
    if step.new == "max":
        return None
    most = around.entry(step.path, memory.MAX.name)
    if level(step.new) < level(most):
        return None
    return f"{step.path}: memory.high is {_size(step.new)}, and memory.max is {_size(most)}: it never throttles"


def _swap_stays(step: Set, around: Surroundings) -> str | None:
    if around.swap_used <= level(step.new) or level(step.new) >= level(step.old):
        return None
    used = int(around.text(step.path, "memory.swap.current") or 0)
    if used <= level(step.new):
        return None
    return (
        f"{step.path}: memory.swap.max is {_size(step.new)}, and {human_size(used)} of swap in use stay: "
        "the limit stops new swap alone"
    )


def _no_writeback_above(step: Set, around: Surroundings) -> str | None:
    """Writeback is off for all below a cgroup where it is off (mm/memcontrol.c, mem_cgroup_zswap_writeback_enabled)."""
    off = (path for path in around.above(step.path) if around.entry(path, step.file) == "0")
    if step.new != "1" or (path := next(off, None)) is None:
        return None
    return f"{step.path}: {step.file} is 1, and 0 in {path}: nothing is written back. Set it to 1 there, too"


def _more_pids(step: Set, around: Surroundings) -> str | None:
    if around.tasks <= level(step.new) or level(step.new) >= level(step.old):
        return None
    current = int(around.text(step.path, "pids.current") or 0)
    if current <= level(step.new):
        return None
    return (
        f"{step.path}: pids.max is {step.new}, and {current} processes and threads stay: "
        "none is ended, new ones fail with EAGAIN"
    )


def _no_quota(step: Set, around: Surroundings) -> str | None:
    if step.file == cpu.MAX.name and cpus_of(step.new) is not None:
        return None
    burst = around.entry(step.path, cpu.BURST.name)
    if int(burst) == 0 or cpus_of(around.entry(step.path, cpu.MAX.name)) is not None:
        return None
    return f"{step.path}: cpu.max.burst is {burst} us, and cpu.max is max: without effect. Set cpu.max"


def _more_than_all_cpus(step: Set, around: Surroundings) -> str | None:
    cpus = cpus_of(step.new)
    if cpus is None or cpus <= 1 or cpus <= (there := len(around.host.cpus)):
        return None
    percent = f". Did you mean {cpus:g}%?" if cpus >= 10 and cpus % 5 == 0 else ""
    return f"{step.path}: cpu.max is {cpus:g} CPUs, and this host has {there}: it never binds{percent}"


def _not_freed(step: Set, around: Surroundings) -> str | None:
    """Only with ``--force`` does the limit go below the use."""
    if step.gentle or not memory.MAX.lowers(step.old, step.new):
        return None
    usage = int(around.text(step.path, "memory.current") or 0)
    if usage <= level(step.new):
        return None
    return (
        f"{step.path}: memory.max is {_size(step.new)}, and {human_size(usage)} is still in use: the kernel could "
        "neither free nor kill more. New memory is refused until less is in use"
    )


def _frozen_above(step: Set, around: Surroundings) -> str | None:
    above = next((path for path in around.above(step.path) if around.entry(path, step.file) == "1"), None)
    if step.new != "0" or above is None:
        return None
    return f"{step.path}: stays frozen, for {above} is. Thaw that: rctl thaw {above}"


def _size(entry: str) -> str:
    return human_size(as_number(amount(entry))) if entry != "max" else entry


def _not_enforced(reason: Reason) -> Callable[[Set, Surroundings], str | None]:
    """A limit that this host does not enforce, as ``show``, ``doctor`` and the exporter tell it of limits in force."""

    def told(step: Set, around: Surroundings) -> str | None:
        why = reason.told(step.file, step.key, step.new, around.conditions(step.path))
        return f"{step.path}: {why}" if why and not reason.of_host else why

    told.__name__ = reason.word
    return told


CAVEATS: tuple[Caveat, ...] = (
    Caveat(
        (cpuset.CPUS.name, cpuset.MEMS.name),
        "CPUs and nodes that are offline, or not the parent's, are ignored",
        cpuset_caveats.offline, written=True,
    ),
    Caveat(
        (cpuset.CPUS.name,),
        "CPUs of a sibling's partition make that invalid (up to Linux 6.12)",
        cpuset_caveats.partition_lost, written=True,
    ),
    Caveat(
        (cpuset.CPUS.name, cpuset.EXCLUSIVE.name),
        "a partition with CPUs that it cannot have is invalid",
        cpuset_caveats.own_partition_lost, written=True,
    ),
    Caveat(
        (cpuset.PARTITION.name, cpuset.CPUS.name),
        "a partition below becomes invalid without its parent's partition, or CPUs",
        cpuset_caveats.partition_below_lost, written=True,
    ),
    Caveat(
        (cpuset.PARTITION.name,),
        "waits for the cgroup above to be a partition, too",
        cpuset_caveats.waits, written=True,
    ),
    Caveat((cpuset.EXCLUSIVE.name,), "takes effect with a partition alone", cpuset_caveats.no_partition),
    Caveat((cpu.MAX.name,), "more CPUs than the host has never bind", _more_than_all_cpus),
    Caveat((cpu.BURST.name, cpu.MAX.name), "a burst without a quota is without effect", _no_quota),
    Caveat((memory.MAX.name, memory.HIGH.name), "never binds above the host's memory", _above_ram),
    Caveat((_HUGE,), "never binds above the host's huge pages of that size", _above_pool),
    Caveat((memory.HIGH.name,), "never throttles at or above memory.max", _high_never_met),
    Caveat((memory.HIGH.name,), "below what cannot be reclaimed, slows the VE all the time", _crawls, written=True),
    Caveat(
        (memory.MAX.name,),
        "below what can be neither freed nor killed (--force), more stays in use",
        _not_freed, written=True,
    ),
    Caveat(
        (memory.LOW.name, memory.MIN.name),
        "protects no more than each cgroup above protects",
        _unprotected_above,
    ),
    Caveat((memory.LOW.name, memory.MIN.name), "protects no more than memory.max", _above_own_max),
    Caveat(
        (memory.MAX.name, memory.HIGH.name),
        "counts no memory that was taken before the controller was enabled",
        _charged_above,
    ),
    Caveat((memory.SWAP_MAX.name,), "frees no swap that is in use", _swap_stays),
    Caveat((memory.ZSWAP_WRITEBACK.name,), "without effect below a cgroup that has 0", _no_writeback_above),
    Caveat((io.MAX.name,), "on a member of an array: not the array's limit (RAID 5: no writes)", _array_member),
    Caveat((pids.MAX.name,), "ends no process; new ones fail", _more_pids),
    Caveat((core.FREEZE.name,), "0 thaws nothing below a cgroup that is frozen", _frozen_above),
    *(Caveat(reason.files, reason.about, _not_enforced(reason)) for reason in REASONS),
)  # fmt: skip
"""Every case."""


class _Rows(dict[str, list[Caveat]]):
    """The rows by the file that is set. Huge pages have a file for each size."""

    def __missing__(self, file: str) -> list[Caveat]:
        self[file] = found = self[_HUGE] if hugetlb.FILE.fullmatch(file) else []
        return found


@cache
def _rows(planned: bool) -> _Rows:
    """The rows by the file that is set; ``planned``: only those that a dry run can check."""
    found = _Rows()
    for row in CAVEATS:
        for file in row.files if not (planned and row.written) else ():
            found.setdefault(file, []).append(row)
    return found
