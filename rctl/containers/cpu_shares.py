"""CPU shares (cgroup v1) for ``cpu.weight`` (v2): container runtimes turn one into the other. Pure.

There are two conversions. Both are onto: each weight has shares that give exactly it. Which one applies depends on the
version of the runtime: https://github.com/opencontainers/cgroups (``ConvertCPUSharesToCgroupV2Value``).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

_LOWEST, _HIGHEST = 2, 262144


def linear(shares: int) -> int:
    """The weight by the older conversion, which runc had until 1.3.1."""
    return 1 + (shares - 2) * 9999 // 262142


def quadratic(shares: int) -> int:
    """The weight by the conversion of 2025, in which 1024 shares are the weight 100."""
    if shares <= _LOWEST:
        return 1
    if shares >= _HIGHEST:
        return 10000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def for_weight(weight: int) -> tuple[int, int]:
    """The fewest shares that give ``weight`` (1 to 10000): by the older conversion, and by that of 2025."""
    return _fewest(linear, weight), _fewest(quadratic, weight)


def _fewest(conversion: Callable[[int], int], weight: int) -> int:
    return bisect_left(range(_HIGHEST), weight, _LOWEST, key=conversion)
