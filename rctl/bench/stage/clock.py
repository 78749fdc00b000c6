"""Finds out whether this machine has an instruction clock (QEMU's -icount), on which a few rounds give a number.

It tries: only on such a clock does the same loop take the same time to the nanosecond again and again. A coarse clock
source would give the same time, too, and is not one.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Literal

from ...errors import UsageError

Clock = Literal["instructions", "wall"]
CLOCKS = ("auto", "instructions", "wall")
SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
_COARSE = ("acpi_pm", "hpet", "jiffies", "refined-jiffies", "pit")
_TRIES = 60
_STEPS = 300


def source() -> str:
    """The kernel's clock source; ``""`` if it is not known."""
    try:
        with open(SOURCE, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def clock() -> Clock:
    """``instructions`` if time is a count of instructions, as in the lab's ``--icount``; else ``wall``."""
    if source() in _COARSE:
        return "wall"
    seen = Counter(_loop() for _ in range(_TRIES))
    return "instructions" if steady(seen) else "wall"


def steady(seen: Counter[int]) -> bool:
    """True if most of the times (ns, with their number) are the same to within 4 ns, and long enough to differ."""
    usual, _ = seen.most_common(1)[0]
    near = sum(often for took, often in seen.items() if abs(took - usual) <= 4)
    return usual > 20_000 and near > seen.total() / 2


def _loop() -> int:
    begin = time.perf_counter_ns()
    for _ in range(_STEPS):
        os.getppid()
    return time.perf_counter_ns() - begin


def counted(asked: str, *, strict: bool) -> bool:
    """True if figures count instructions.

    ``asked``: one of CLOCKS. ``strict``: the built-in workloads are the C program, which can count its own.
    Raises UsageError for an unknown clock, or if ``instructions`` is asked for and wrong.
    """
    if asked not in CLOCKS:
        raise UsageError(f"--clock {asked!r}: not a clock. Give one of {', '.join(CLOCKS)}")
    counts = asked != "wall" and strict and clock() == "instructions"
    if asked == "instructions" and not counts:
        why = "the same loop does not take the same time" if strict else "only the C program can count; install cc"
        raise UsageError(f"--clock instructions: this machine has no instruction clock: {why}. Use --clock wall")
    return counts
