"""CPU time: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files

cpu.max and cpu.weight came with Linux 4.15, cpu.max.burst with 5.14, cpu.idle with 5.15.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Self

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import File, LimitFigure, LimitMetric, Write, flat_keyed
from ..host import Host
from ..units import MAX as NO_LIMIT
from ..units import Amount, Duration, Quantity, Weight, amount, scaled

MICRO = 10**6
MIN_QUOTA = 1000  # kernel/sched/core.c, min_cfs_quota_period


class Cpus(Quantity):
    """CPU time as a number of CPUs, stored in millionths of a CPU. ``150%`` is of one CPU."""

    __slots__ = ()
    kind = "cpus"
    examples = "1.5, 150%, 500m or max"
    low = 10**3  # the smallest quota in the longest period: 1 ms in 1 s
    high = 10**6 * 10**6

    @classmethod
    def parse(cls, text: str | int | float, *, whole: int | None = None) -> Self:
        """As Quantity.parse. The kernel's own form (quota and period) is refused; the error has the number of CPUs."""
        words = str(text).split()
        if len(words) == 2 and (match := re.fullmatch(r"(max|[0-9]{1,15}) ([1-9][0-9]{0,8})", " ".join(words))):
            same = "max" if match[1] == "max" else cls._text(int(match[1]) * 10**6 // int(match[2]))
            raise ValueError(f"{text!r} is the kernel's form, a quota and a period. Write CPUs: {same}")
        return super().parse(text, whole=whole)

    @classmethod
    def _amount(cls, number: str, fraction: str | None, unit: str, whole: int | None) -> int:
        return scaled(number, fraction, {"": 10**6, "%": 10**4, "m": 10**3}[unit])

    @staticmethod
    def _text(amount: int) -> str:
        whole, fraction = divmod(amount, 10**6)
        return f"{whole}.{fraction:06d}".rstrip("0").rstrip(".")


class Period(Duration):
    """``cpu.max``'s period: 1 ms to 1 s (kernel/sched/core.c)."""

    __slots__ = ()
    examples = "100ms or 100000 (microseconds), 1ms to 1s"
    low = 1000
    high = 10**6


class Quota(Duration):
    """``cpu.max``'s quota in microseconds: at least 1 ms, at most the kernel's MAX_BW (kernel/sched/core.c)."""

    __slots__ = ()
    examples = "50000 (microseconds, at least 1000) or max"
    low = 1000
    high = (1 << 44) - 1
    takes_max = True


class CpuWeight(Weight):
    """As Weight, and ``idle`` (an amount of 0 here): the VE runs when no other task wants the CPU."""

    __slots__ = ()
    examples = "100 (1 to 10000) or idle"
    low = 0

    @classmethod
    def parse(cls, text: str | int | float, *, whole: int | None = None) -> Self:
        """As Quantity.parse, and ``idle``."""
        if isinstance(text, str) and text.strip() == "idle":
            return cls(0)
        weight = super().parse(text)
        if weight.amount == 0:
            raise ValueError(f"0 is {cls._bounds(0)}. Write it like {cls.examples}")
        return weight

    @classmethod
    def _takes(cls, text: str, whole: int | None) -> bool:
        return text.strip("0") != "" and super()._takes(text, whole)

    @classmethod
    def _bounds(cls, amount: int) -> str:
        return Weight._bounds(amount)


class CpuMax(File, frozen=True):
    """``cpu.max``: ``QUOTA PERIOD`` in microseconds.

    The wish is ``cpus=N period=N``; either may be missing. A new period alone keeps the number of CPUs; a new number of
    CPUs keeps the period. The wish may also be in the kernel's own form; there the period may be missing.
    """

    def wish(self, text: str, page: int) -> tuple[str, str]:
        quota, *period = text.split()
        if len(period) > 1:
            raise ValueError(f"{text[:64]!r} is not understood. Write it like '50000 100000' (microseconds)")
        return "", " ".join([str(Quota.parse(quota)), *(str(Period.parse(p)) for p in period)])

    def merge(self, old: str, wanted: str) -> str:
        return _merged(old, wanted)

    def remark(self, old: str, wanted: str, new: str) -> str:
        if not wanted.startswith("period=") or (before := cpus_of(old)) == (now := cpus_of(new)):
            return ""
        return f"{now:.6g} CPUs, not {before:.6g}: a quota is whole microseconds"

    def figures(self, text: str) -> Iterator[LimitFigure]:
        _, period = text.split()
        cores = cpus_of(text.strip())
        yield "", "cores", NO_LIMIT if cores is None else cores
        yield "", "period", int(period)

    def lowers(self, old: str, new: str) -> bool:
        before, after = cpus_of(old), cpus_of(new)
        return after is not None and (before is None or after < before)


@lru_cache(256)  # many VEs have the same limits
def _merged(old: str, wanted: str) -> str:
    old_quota, _, old_period = old.partition(" ")
    if "=" not in wanted:
        return wanted if " " in wanted else f"{wanted} {old_period}"
    parts = dict(pair.split("=") for pair in wanted.split())
    period = int(parts.get("period", old_period))
    if "cpus" in parts:
        cpus = amount(parts["cpus"])
        quota = cpus if cpus is NO_LIMIT else _quota(cpus, MICRO, period)
    else:
        kept = amount(old_quota)
        quota = kept if kept is NO_LIMIT else _quota(kept, int(old_period), period)
    return f"{quota} {period}"


def _quota(part: int, of: int, period: int) -> int:
    """``part / of`` CPUs as the quota in a ``period``, both in microseconds."""
    quota = part * period // of
    if quota < MIN_QUOTA:
        raise ValueError(
            f"cpu.max: {part / of:g} CPUs in a period of {period} us are {quota} us, and the kernel's minimum is "
            f"{MIN_QUOTA}. Raise cpu.period (up to 1s) or cpu.max"
        )
    return quota


@lru_cache(256)
def cpus_of(entry: str) -> float | None:
    """CPUs that a ``cpu.max`` entry allows; ``None`` for no limit."""
    quota, _, period = entry.partition(" ")
    return None if quota == "max" else int(quota) / int(period)


class CpuWeightFile(File, frozen=True):
    """``cpu.weight``. It reads 0 while ``cpu.idle`` is 1, and then takes no value."""

    def settable(self, entry: str) -> bool:
        return entry != "0"


class NiceFile(File, frozen=True):
    """``cpu.weight.nice``: another view of ``cpu.weight``, rounded to one of 40 steps (kernel/sched/core.c)."""

    def wish(self, text: str, page: int) -> tuple[str, str]:
        try:
            nice = int(text)
        except ValueError:
            raise ValueError(f"{text[:64]!r} is not a nice value. Write it like -5 (-20 to 19)") from None
        if not -20 <= nice <= 19:
            raise ValueError(f"{nice} is out of range: at {'least -20' if nice < 0 else 'most 19'}")
        return "", str(nice)

    def lowers(self, old: str, new: str) -> bool:
        return False

    def settable(self, entry: str) -> bool:
        return False  # putting it back would round the weight; the weight itself is put back


MAX = CpuMax(
    "cpu.max", "cpu", default="max 100000", since="4.15", rank=1, unit="us",
    systemd=("CPUQuota=", "CPUQuotaPeriodSec="), docker=("NanoCpus", "CpuQuota", "CpuPeriod"),
    about="Most CPU time, as a number of CPUs. After using it up, the VE waits for the next cpu.period.",
    metrics=(
        LimitMetric("cpu_limit_cores", "CPU time that cpu.max allows, in CPUs.", core=True, value="cores"),
        LimitMetric("cpu_period_seconds", "Enforcement period of cpu.max.", value="period"),
    ),
)  # fmt: skip
BURST = File(
    "cpu.max.burst", "cpu", key="cpu.burst", default="0", since="5.14", rank=0, unit="us",
    without="cpu.burst cannot be set",
    about="CPU time that the VE may save while it needs less than cpu.max, and use above cpu.max later.",
    metrics=(LimitMetric("cpu_burst_limit_seconds", "Most CPU time that a burst may add to a period."),),
)  # fmt: skip
WEIGHT = CpuWeightFile(
    "cpu.weight", "cpu", default="100", since="4.15", rank=3, unit="weight",
    systemd=("CPUWeight=", "StartupCPUWeight="), docker=("CpuShares",),
    about="Share of the CPUs when others want them, too. idle: the VE runs when no other task wants the CPU.",
    metrics=(LimitMetric("cpu_weight", "Share of the CPUs, 1 to 10000."),),
)  # fmt: skip
IDLE = File(
    "cpu.idle", "cpu", default="0", since="5.15", rank=2, unit="flag", disturbs=(WEIGHT,),
    systemd=("CPUWeight=idle",),
    about="1: the VE runs when no other task wants the CPU.",
    without="cpu.weight=idle cannot be set",
    metrics=(LimitMetric("cpu_idle", "Whether the VE runs only when no other task wants the CPU."),),
)  # fmt: skip
NICE = NiceFile("cpu.weight.nice", "cpu", default="0", since="4.15", rank=3, disturbs=(WEIGHT,))
FILES = (MAX, BURST, WEIGHT, IDLE)


class Cpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``max``: CPU time, as a number of CPUs. ``period``, ``burst``: microseconds. ``weight``: 1..10000 or idle."""

    max: Cpus | UnsetType = UNSET
    period: Period | UnsetType = UNSET
    burst: Duration | UnsetType = UNSET
    weight: CpuWeight | UnsetType = UNSET


class CpuStat(msgspec.Struct, frozen=True):
    """``stat`` as in ``cpu.stat`` (microseconds, counts); ``max`` in CPUs, ``None``: no limit; ``weight`` 0: idle."""

    stat: dict[str, int]
    max: float | None = None
    weight: Amount | None = None


def writes(limits: Cpu, host: Host) -> tuple[Write, ...]:
    """The entries to write for these limits. A weight also ends ``cpu.idle``; ``idle`` changes the weight."""
    found: list[Write] = []
    parts = [f"cpus={limits.max.amount}"] if limits.max is not UNSET else []
    if limits.period is not UNSET:
        parts.append(f"period={limits.period}")
    if parts:
        found.append(Write(MAX, " ".join(parts)))
    if limits.burst is not UNSET:
        found.append(Write(BURST, str(limits.burst)))
    if limits.weight is not UNSET:
        if limits.weight.amount == 0:
            found.append(Write(IDLE, "1"))
        else:
            found += [Write(IDLE, "0", if_there=True), Write(WEIGHT, str(limits.weight))]
    return tuple(found)


READ = ("cpu.stat", MAX.name, WEIGHT.name, IDLE.name)
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> CpuStat | None:
    """The statistics, from file texts by name; ``cpu.stat`` exists also without the controller."""
    if "cpu.stat" not in texts:
        return None
    weight = amount(texts["cpu.weight"]) if "cpu.weight" in texts else None
    if texts.get("cpu.idle", "").strip() == "1":
        weight = 0  # Linux 6.1 shows 0 by itself, 7 shows 1
    return CpuStat(flat_keyed(texts["cpu.stat"]), cpus_of(texts.get("cpu.max", "max").strip()), weight)
