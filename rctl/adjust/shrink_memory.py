"""Reclaims memory of a VE until its use is below a goal; the kernel never kills meanwhile.

``memory.reclaim`` takes a bounded amount each time, so the caller is never long in the kernel. Between steps, the VE's
own memory pressure sets the pace. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..cgroupfs.cgroup import Cgroup
from ..errors import KernelError, NotAvailableError, ShrinkError
from ..formats import pressure
from ..units import MAX, amount, human_size, level

_STEP = 32 << 20  # bytes for one memory.reclaim
_PAUSE = 0.02  # seconds
_STALLED = 0.5  # share of the time between two looks: above it, reclaim makes the VE wait too long, so pause


def reclaim(cgroup: Cgroup, goal: int, deadline: float, first: int, tell: Callable[[int], None]) -> None:
    """Bring ``memory.current`` to at most ``goal`` bytes within ``deadline`` seconds. ``tell`` is called with each use.

    ``first``: the use before any reclaim, for the error.

    Without ``memory.reclaim`` (before 5.19), ``memory.high`` is written instead: each write reclaims again.
    Raises ShrinkError with the use that was reached.
    """
    end = time.monotonic() + deadline
    usage = _usage(cgroup)
    able = cgroup.has("memory.reclaim")
    while usage > goal:
        if time.monotonic() >= end:
            raise ShrinkError(
                f"memory.max: cannot set {human_size(goal)} on {cgroup.path}: {human_size(usage)} in use "
                f"(of {human_size(first)} before) and not reclaimable within {deadline:g} s. "
                "Free memory in the VE, add swap, raise --deadline, or use --force (the kernel may then kill)"
            )
        before, stalled = time.monotonic(), _stalled(cgroup)
        if not (_reclaim(cgroup, min(usage - goal, _STEP)) if able else _by_high(cgroup, goal)):
            time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))
        took = time.monotonic() - before
        if (_stalled(cgroup) - stalled) / 1e6 > _STALLED * took:
            time.sleep(min(took, max(0.0, end - time.monotonic())))
        usage = _usage(cgroup)
        tell(usage)


def free(cgroup: Cgroup, size: int, deadline: float, tell: Callable[[int], None], swappiness: int | None = None) -> int:
    """Let the kernel free ``size`` bytes of a cgroup (``memory.reclaim``) in steps, whatever its limits.

    ``swappiness``: 0 frees file cache only, 200 swaps first; unset: as vm.swappiness.
    Returns the bytes that were freed: fewer if the kernel finds no more, or at the ``deadline`` (seconds). ``tell`` is
    called with each new sum. Raises NotAvailableError without that file (before 5.19), or if it takes no swappiness
    (before 6.11).
    """
    end, freed = time.monotonic() + deadline, 0
    while freed < size and time.monotonic() < end:
        step, before = min(size - freed, _STEP), _usage(cgroup)
        got = step if _reclaim(cgroup, step, swappiness) else min(step, max(0, before - _usage(cgroup)))
        if not got:
            break
        freed += got
        tell(freed)
    return freed


def lower_high(cgroup: Cgroup, goal: int, deadline: float) -> None:
    """Lower ``memory.high`` towards ``goal`` bytes, until one more write of it has little left to reclaim.

    The kernel reclaims within the write, however long that takes, so each write lowers it by one step only. Ends early
    at the deadline (seconds), and if a step frees nothing.
    """
    end = time.monotonic() + deadline
    high = level(cgroup.read("memory.high").strip())
    usage = _usage(cgroup)
    while (target := usage - _STEP) > goal and time.monotonic() < end:
        if target < high:
            cgroup.write("memory.high", str(target))
        before, usage = usage, _usage(cgroup)
        if usage >= before:
            return


@contextmanager
def held(cgroup: Cgroup, goal: int, deadline: float) -> Iterator[None]:
    """During the block, at most ``goal`` bytes are in use and ``memory.high`` ensures that; then it is put back.

    Raises ShrinkError if that is not reached within ``deadline`` seconds.
    """
    usage = _usage(cgroup)
    if usage <= goal:
        yield
        return
    high = cgroup.read("memory.high").strip()
    try:
        if level(high) > goal:
            lower_high(cgroup, goal, deadline)
            cgroup.write("memory.high", str(goal))
        reclaim(cgroup, goal, deadline, usage, lambda _: None)
        yield
    finally:
        cgroup.write("memory.high", high)


def _by_high(cgroup: Cgroup, goal: int) -> bool:
    """Write ``memory.high``, at most the goal at that moment; False if nothing was freed.

    The kernel reclaims within the write, and not again until the VE grows. Without another write, swap that was added
    later, or memory that was released later, would have no effect.
    """
    before, high = _usage(cgroup), cgroup.read("memory.high").strip()
    above = amount(high) is MAX or int(high) > goal
    try:
        cgroup.write("memory.high", str(goal) if above else high)
    finally:
        cgroup.write("memory.high", high)
    return _usage(cgroup) < before


def _usage(cgroup: Cgroup) -> int:
    return int(cgroup.read("memory.current"))


def _stalled(cgroup: Cgroup) -> int:
    """Microseconds in which all tasks of the VE waited for memory; 0 if PSI is off."""
    lines = pressure(cgroup.read_if_there("memory.pressure") or "")
    return lines["full"].total if "full" in lines else 0


def _reclaim(cgroup: Cgroup, size: int, swappiness: int | None = None) -> bool:
    """Ask for ``size`` bytes; False if the kernel freed less."""
    try:
        cgroup.write("memory.reclaim", str(size) if swappiness is None else f"{size} swappiness={swappiness}")
    except KernelError as error:
        if error.errno in (errno.EAGAIN, errno.EINTR, errno.EBUSY):
            return False
        if error.errno == errno.EINVAL and swappiness is not None:
            raise NotAvailableError(
                "memory.reclaim: this kernel takes no swappiness (it came with Linux 6.11). Leave --swappiness out"
            ) from None
        raise
    return True
