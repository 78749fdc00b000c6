"""Is this machine's clock an instruction clock (QEMU's -icount), on which a few rounds give a number?

On a processor a division takes several times as long as an addition, and under plain emulation too. On an instruction
clock both take as long, for they are one instruction each. So the built-in program times two loops that differ in that
one instruction alone.
"""

from __future__ import annotations

from ...errors import UsageError
from ..stage.place import WorkError
from .base import Kit

CLOCKS = ("auto", "instructions", "wall")
_COUNT, _TIMES, _SAME = 200_000, 3, 0.02


def counted(asked: str, kit: Kit) -> bool:
    """Whether to count instructions. ``asked``: one of CLOCKS. Raises UsageError for another, or a false claim."""
    if asked not in CLOCKS:
        raise UsageError(f"--clock {asked!r}: not a clock. Give one of {', '.join(CLOCKS)}")
    if asked == "wall":
        return False
    counts = same(ratios(kit)) if kit.strict else False
    if asked == "instructions" and not counts:
        why = "a division takes longer than an addition here" if kit.strict else "only the C program can tell"
        raise UsageError(f"--clock instructions: this is no instruction clock: {why}. Use --clock wall")
    return counts


def ratios(kit: Kit) -> list[float]:
    """A division's time over an addition's, some times; empty where the built-in program cannot tell."""
    found = []
    try:
        for _ in range(_TIMES):
            addition, division = map(int, kit.outside.run([*kit.work, "clock", str(_COUNT)]).split())
            found.append(division / addition)
    except (WorkError, ValueError, ZeroDivisionError):
        return []
    return found


def same(found: list[float]) -> bool:
    """Whether both took the same time, each time."""
    return bool(found) and all(abs(ratio - 1) < _SAME for ratio in found)
