"""Ratios with intervals, and verdicts from them. Pure; the same input and seed always give the same answer.

A ratio is a median, so that a single disturbed round does not count. Its interval is the percentile bootstrap (Efron,
Tibshirani: An Introduction to the Bootstrap, chapter 13). With few values, its ends lie further out, as Hesterberg
corrects them (What Teachers Should Know about the Bootstrap, The American Statistician 69, 2015). Without that, the
intervals of 7 values hold the truth 87 times of 100 and not 95. No resample is drawn element by element: the median of
n uniform numbers has a beta distribution, so one or two random numbers give the median of a whole resample.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence

import msgspec

from .result import Verdict

CONFIDENCE = 0.95
SEQUENTIAL = 0.97
"""Confidence of an interval if rounds go on until it is narrow enough: such intervals then hold the truth 95 times of
100. Intervals for 0.95 would hold it 90 to 94 times, as simulation shows (see the tests)."""
MOST = 1000
"""Most rounds."""
SEED = 2006
_RESAMPLES = 2000


class Interval(msgspec.Struct, frozen=True):
    """An estimate, and the interval that holds the true value with the given confidence.

    ``ratio``: the estimate: a ratio, or a number in the unit of the values. ``low``, ``high``: the ends of the
    interval. ``count``: the number of pairs or values. ``sure``: they are enough for the confidence; otherwise the ends
    are only the smallest and the largest value.
    """

    ratio: float
    low: float
    high: float
    count: int
    sure: bool = True

    @property
    def width(self) -> float:
        """High minus low; a benchmark goes on while this is too large."""
        return self.high - self.low


def fewest(confidence: float = CONFIDENCE) -> int:
    """The least number of values for an interval of that confidence: with fewer, the median may lie outside all values.

    All of n values lie on one side of the true median with the chance 2 / 2**n.
    """
    return math.ceil(1 - math.log2(1 - confidence))


def looks() -> Iterator[int]:
    """The numbers of rounds after which to look whether the interval is narrow enough; each is half as many more.

    They are even. The first gives an interval for SEQUENTIAL; the last is MOST.
    """
    count = fewest(SEQUENTIAL) + fewest(SEQUENTIAL) % 2
    while count < MOST:
        yield count
        count += max(2, count // 4 * 2)
    yield MOST


def ratio_interval(pairs: Sequence[tuple[float, float]], confidence: float = CONFIDENCE, seed: int = SEED) -> Interval:
    """The median of second / first over pairs that were measured side by side: (bare, inside) gives the cost of inside.

    Raises ValueError without pairs, or if a first is not above 0.
    """
    return median_interval(_ratios(pairs), confidence, seed)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE, seed: int = SEED) -> Interval:
    """The median of values. Raises ValueError without values."""
    if not values:
        raise ValueError("no values to take the median of")
    return _estimated([sorted(values)], _only, confidence, seed)


def geometric_mean(
    cases: Sequence[Sequence[tuple[float, float]]], confidence: float = CONFIDENCE, seed: int = SEED
) -> Interval:
    """The geometric mean of the median ratios of several cases. A case is a sequence of pairs as in ``ratio_interval``.

    Raises ValueError without cases, for a case without pairs, or for a ratio that is not above 0.
    """
    if not cases or not all(cases):
        raise ValueError("no pairs to take the geometric mean of")
    return _estimated([sorted(_ratios(pairs)) for pairs in cases], statistics.geometric_mean, confidence, seed)


def least(pairs: Sequence[tuple[float, float]]) -> Interval:
    """The least second over the least first, for counts of instructions: a disturbance only adds to them.

    The ends are the smallest and the largest ratio of a pair; the estimate lies between them. Raises ValueError without
    pairs, or if a first is not above 0.
    """
    ratios = _ratios(pairs)
    if not ratios:
        raise ValueError("no pairs to take the least of")
    estimate = min(second for _, second in pairs) / min(first for first, _ in pairs)
    return Interval(estimate, min(ratios), max(ratios), len(pairs))


def least_mean(cases: Sequence[Sequence[tuple[float, float]]]) -> Interval:
    """The geometric mean of ``least`` over several cases, and of their ends. Raises ValueError as ``least`` does."""
    found = [least(pairs) for pairs in cases]
    if not found:
        raise ValueError("no pairs to take the geometric mean of")
    ratio, low, high = (
        statistics.geometric_mean(ends) for ends in zip(*((one.ratio, one.low, one.high) for one in found), strict=True)
    )
    return Interval(ratio, low, high, min(one.count for one in found))


def verdict(interval: Interval, budget: float) -> Verdict:
    """Judge the true value. ``budget``: the highest value that passes, in the interval's unit (1.02: 2 % more).

    ``cannot tell``: the budget lies inside the interval, or the interval has too few values.
    """
    if not interval.sure:
        return "cannot tell"
    return judge(interval.ratio, budget, interval.low, interval.high)


def judge(value: float, budget: float, low: float | None = None, high: float | None = None) -> Verdict:
    """Judge a value with an interval, or an exact value (``low`` and ``high`` unset)."""
    if (value if high is None else high) <= budget:
        return "pass"
    return "fail" if (value if low is None else low) > budget else "cannot tell"


def _only(values: Sequence[float]) -> float:
    return values[0]


def _ratios(pairs: Sequence[tuple[float, float]]) -> list[float]:
    if any(not first > 0 for first, _ in pairs):
        raise ValueError("the first of a pair is not above 0, so it has no ratio")
    return [second / first for first, second in pairs]


def _estimated(
    cases: Sequence[Sequence[float]], combined: Callable[[Sequence[float]], float], confidence: float, seed: int
) -> Interval:
    """The interval of a number that ``combined`` makes from the medians of the cases. Each case is sorted."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: not between 0 and 1")
    estimate = combined([statistics.median(case) for case in cases])
    count = min(map(len, cases))
    if count < fewest(confidence):
        ends = [combined([case[i] for case in cases]) for i in (0, -1)]
        return Interval(estimate, ends[0], ends[1], count, sure=False)
    chance = random.Random(seed)  # noqa: S311 (statistics, no secret)
    found = sorted(combined([_resampled_median(case, chance) for case in cases]) for _ in range(_RESAMPLES))
    cut = _tail(confidence, count)
    return Interval(estimate, found[int(cut * _RESAMPLES)], found[math.ceil((1 - cut) * _RESAMPLES) - 1], count)


def _tail(confidence: float, count: int) -> float:
    """The share of resamples to leave out at each end: less than (1 - confidence) / 2, by Student's t for few values.

    Student's quantile is Cornish and Fisher's expansion of the normal one; from 5 values on it is good to a percent.
    """
    normal = statistics.NormalDist()
    z, free = normal.inv_cdf((1 + confidence) / 2), count - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return normal.cdf(-t * math.sqrt(count / free))


def _resampled_median(values: Sequence[float], chance: random.Random) -> float:
    """The median of a resample: as many values drawn with replacement from sorted ones."""
    count = len(values)
    half = count // 2
    if count % 2:
        return values[_place(chance.betavariate(half + 1, half + 1), count)]
    lower = chance.betavariate(half, half + 1)
    upper = lower + (1 - lower) * chance.betavariate(1, half)
    return (values[_place(lower, count)] + values[_place(upper, count)]) / 2


def _place(uniform: float, count: int) -> int:
    return min(int(uniform * count), count - 1)
