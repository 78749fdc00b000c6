"""The values of a ramp: from an entry to another in equal steps, in the entry's own unit. Pure.

``max`` has no number. Down from ``max``, a ramp begins at the VE's present use, because no limit above that is felt (or
at what the host has, if its use is not counted yet). Up to ``max``, it goes on to what the host has (memory, swap,
CPUs, huge pages), and ends with ``max``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..controllers import cpu, hugetlb, memory
from ..controllers.cpu import cpus_of
from ..errors import UsageError
from ..formats import File, Keyed, PerDevice
from ..host import Host

_NUMBERS = ("bytes", "count", "us", "weight")
_KINDS = (Keyed, cpu.CpuWeightFile, hugetlb.HugePages)
_LEAST_QUOTA = 1000
_SWAP = (memory.SWAP_MAX, memory.SWAP_HIGH)
_MEMORY = (memory.MAX, memory.HIGH, memory.LOW, memory.MIN, memory.ZSWAP_MAX)


class Span(NamedTuple):
    """One entry of one VE: its present text and the goal. ``use``: what the VE uses of it now, if that is counted."""

    file: File
    key: str
    old: str
    new: str
    use: int | None = None


def use_file(file: File) -> str:
    """The file that counts what is used of a limit; empty if none does."""
    stem = file.name.rpartition(".")[0]
    counted = file.name.endswith((".max", ".high")) and stem in ("memory", "memory.swap", "memory.zswap", "pids")
    return f"{stem}.current" if counted or (isinstance(file, hugetlb.HugePages) and ".rsvd." not in file.name) else ""


def values(span: Span, steps: int, host: Host) -> list[str]:
    """The entry after each of ``steps`` steps; the last one is the goal. No value lies outside, none goes back.

    Raises UsageError for an entry that has no values in between.
    """
    between = _between(span, host)
    return [*(between(step, steps) for step in range(1, steps)), span.new]


Between = Callable[[int, int], str]
"""Returns the entry after a step, of so many."""


def _between(span: Span, host: Host) -> Between:
    file = span.file
    if file is cpu.MAX:
        return _quota(span, host)
    if isinstance(file, PerDevice):
        return _by_device(span)
    if file.unit not in _NUMBERS or (not isinstance(file, _KINDS) and type(file) is not File):
        raise UsageError(f"{file.name}: has no values in between, so it cannot be ramped. Set it without --over")
    unit = file.page if isinstance(file, hugetlb.HugePages) else host.page_size if file.unit == "bytes" else 1
    start, end = _ends(span, host)
    return lambda step, steps: str(_at(start, end, step, steps) // unit * unit)


def _at(start: int, end: int, step: int, steps: int) -> int:
    """A number between two. Sizes may be larger than a float is exact."""
    return start + (end - start) * step // steps


def _ends(span: Span, host: Host) -> tuple[int, int]:
    file = span.file
    if not span.old.isdecimal() and span.old != "max":
        raise UsageError(f"{file.name}: is {span.old} now, which is no number. Set it without --over")
    if span.new == "max":
        return int(span.old), max(int(span.old), _capacity(file, host))
    end = int(span.new)
    if span.old != "max":
        return int(span.old), end
    return max(_capacity(file, host) if span.use is None else span.use, end), end


def _capacity(file: File, host: Host) -> int:
    """What the host has of it. Raises UsageError if that is not known."""
    if file in _MEMORY:
        return host.memory
    if file in _SWAP:
        return host.swap
    if isinstance(file, hugetlb.HugePages):
        return (host.huge_pages(file.page) or 0) * file.page
    raise _no_number(file.name)


def _no_number(name: str) -> UsageError:
    return UsageError(f"{name}: max is no number that this host knows, so it cannot be ramped. Name a number instead")


def _quota(span: Span, host: Host) -> Between:
    """``cpu.max``, as CPUs. The goal's period holds from the first step."""
    period = int(span.new.split()[1])
    most = float(len(host.cpus))
    old, new = (cpus_of(entry) for entry in (span.old, span.new))
    end = max(most, old or 0.0) if new is None else new
    start = max(most, end) if old is None else old
    ends = [max(_LEAST_QUOTA, round(cpus * period)) for cpus in (start, end)]
    return lambda step, steps: f"{_at(ends[0], ends[1], step, steps)} {period}"


def _by_device(span: Span) -> Between:
    old, new = (_pairs(entry) for entry in (span.old or span.file.default, span.new))
    for name, value in new.items():
        if value != old.get(name) and not (value.isdecimal() and old.get(name, "").isdecimal()):
            raise _no_number(f"{span.file.name} {name}")

    def at(step: int, steps: int) -> str:
        return " ".join(
            f"{name}={value if value == old[name] else _at(int(old[name]), int(value), step, steps)}"
            for name, value in new.items()
        )

    return at


def _pairs(entry: str) -> Mapping[str, str]:
    pairs = (pair.partition("=") for pair in entry.split())
    return {name: value for name, _, value in pairs}
