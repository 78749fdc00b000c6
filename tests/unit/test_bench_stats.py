"""Ratios and verdicts on data whose truth is known."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.bench.figures.stats import (
    Interval,
    fewest,
    geometric_mean,
    judge,
    least,
    least_mean,
    median_interval,
    ratio_interval,
    verdict,
)

Draw = Callable[[random.Random], float]
NORMAL: Draw = lambda chance: chance.gauss(1.01, 0.01)  # noqa: E731
SKEWED: Draw = lambda chance: chance.lognormvariate(0.0, 0.1)  # noqa: E731
TRIALS = 100


def noisy_pairs(count: int, ratio: float, noise: float, seed: int = 1) -> list[tuple[float, float]]:
    """Pairs whose true ratio is known; both of a pair share the machine's mood of the moment."""
    chance = random.Random(seed)
    pairs = []
    for _ in range(count):
        mood = chance.lognormvariate(0, 0.3)
        pairs.append((mood, mood * ratio * (1 + chance.gauss(0, noise))))
    return pairs


def test_equal_pairs_give_their_ratio_exactly() -> None:
    assert ratio_interval([(2.0, 3.0)] * 8) == Interval(1.5, 1.5, 1.5, 8)


def test_what_both_of_a_pair_share_does_not_count() -> None:
    found = ratio_interval(noisy_pairs(40, 1.02, noise=0.001))
    assert found.ratio == pytest.approx(1.02, abs=0.001)
    assert found.width < 0.002


def test_one_disturbed_round_does_not_count() -> None:
    calm = noisy_pairs(15, 1.02, noise=0.001)
    assert ratio_interval([*calm, (1.0, 50.0)]).ratio == pytest.approx(ratio_interval(calm).ratio, abs=0.001)


@pytest.mark.parametrize(("draw", "truth"), [(NORMAL, 1.01), (SKEWED, 1.0)], ids=["normal", "skewed"])
def test_the_estimate_has_no_bias(draw: Draw, truth: float) -> None:
    chance = random.Random(3)
    found = [statistics.median(draw(chance) for _ in range(15)) for _ in range(2000)]
    assert statistics.fmean(found) == pytest.approx(truth, abs=0.003)
    values = [draw(chance) for _ in range(15)]
    assert median_interval(values).ratio == statistics.median(values)


@pytest.mark.parametrize(("draw", "truth"), [(NORMAL, 1.01), (SKEWED, 1.0)], ids=["normal", "skewed"])
@pytest.mark.parametrize("count", [6, 15])
def test_the_interval_holds_the_truth_95_times_of_100(draw: Draw, truth: float, count: int) -> None:
    chance = random.Random(count)
    held = 0
    for seed in range(TRIALS):
        found = median_interval([draw(chance) for _ in range(count)], seed=seed)
        held += found.low <= truth <= found.high
    assert 0.90 <= held / TRIALS <= 0.995


def test_more_confidence_makes_a_wider_interval() -> None:
    pairs = noisy_pairs(12, 1.0, noise=0.05)
    assert ratio_interval(pairs, confidence=0.8).width < ratio_interval(pairs, confidence=0.99).width


def test_more_rounds_make_a_narrower_interval() -> None:
    assert ratio_interval(noisy_pairs(200, 1.0, 0.05)).width < ratio_interval(noisy_pairs(10, 1.0, 0.05)).width / 2


def test_a_seed_repeats_and_another_one_does_not_move_it_far() -> None:
    pairs = noisy_pairs(20, 1.01, noise=0.02)
    assert ratio_interval(pairs, seed=1) == ratio_interval(pairs, seed=1)
    assert ratio_interval(pairs, seed=1).high == pytest.approx(ratio_interval(pairs, seed=2).high, abs=0.01)


def test_the_order_of_the_pairs_means_nothing() -> None:
    pairs = noisy_pairs(11, 1.01, noise=0.02)
    assert ratio_interval(pairs) == ratio_interval(pairs[::-1])


def test_the_geometric_mean_of_known_ratios() -> None:
    cases = [noisy_pairs(20, ratio, noise=0.0) for ratio in (1.0, 1.02, 1.0 / 1.02)]
    found = geometric_mean(cases)
    assert found.ratio == pytest.approx(1.0)
    assert found.width == pytest.approx(0.0, abs=1e-9)


def test_the_geometric_mean_is_surer_than_its_cases() -> None:
    cases = [noisy_pairs(12, 1.01, noise=0.03, seed=seed) for seed in range(8)]
    found = geometric_mean(cases)
    assert found.low <= 1.01 <= found.high
    assert found.width < min(ratio_interval(case).width for case in cases)


def test_what_disturbs_a_count_only_adds_to_it_so_the_least_of_each_side_counts() -> None:
    found = least([(1.0, 1.09), (1.07, 1.02), (1.01, 1.02)])
    assert (found.ratio, found.count) == (1.02, 3)
    assert (found.low, found.high) == pytest.approx((1.02 / 1.07, 1.09))


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1))
def test_the_least_over_the_least_lies_between_the_ratios_seen(pairs: list[tuple[float, float]]) -> None:
    found = least(pairs)
    assert found.low <= found.ratio * (1 + 1e-12)
    assert found.ratio <= found.high * (1 + 1e-12)


def test_the_mean_of_counts_is_that_of_their_least() -> None:
    found = least_mean([[(1.0, 1.02), (1.5, 1.02)], [(1.0, 1.0)]])
    assert found.ratio == pytest.approx(1.02**0.5)
    assert found.count == 1
    for none in ([], [[]]):
        with pytest.raises(ValueError, match="no pairs"):
            least_mean(none)


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.005, "pass"), (1.05, "fail"), (1.02, "cannot tell")], ids=["below", "above", "at"]
)
def test_the_verdict_against_a_budget_of_2_percent(ratio: float, said: str) -> None:
    assert verdict(ratio_interval(noisy_pairs(40, ratio, noise=0.01)), 1.02) == said


def test_noise_that_hides_the_answer_gives_no_answer() -> None:
    assert verdict(ratio_interval(noisy_pairs(10, 1.0, noise=0.3)), 1.02) == "cannot tell"


def test_too_few_rounds_give_no_answer_however_good_they_look() -> None:
    few = ratio_interval([(1.0, 1.0)] * (fewest() - 1))
    assert not few.sure
    assert verdict(few, 1.02) == "cannot tell"
    assert verdict(ratio_interval([(1.0, 1.0)] * fewest()), 1.02) == "pass"


def test_how_many_rounds_a_confidence_needs() -> None:
    assert [fewest(confidence) for confidence in (0.5, 0.9, 0.95, 0.99)] == [2, 5, 6, 8]


def test_a_budget_is_the_most_that_passes() -> None:
    assert judge(1.02, 1.02) == "pass"
    assert judge(1.0201, 1.02) == "fail"
    assert judge(1.01, 1.02, 1.0, 1.03) == "cannot tell"


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0)], [(-1.0, 1.0)], [(float("nan"), 1.0)]])
def test_what_gives_no_ratio_is_refused(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"no values|no ratio"):
        ratio_interval(pairs)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -1.0])
def test_a_confidence_is_between_0_and_1(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        median_interval([1.0] * 10, confidence)


@pytest.mark.parametrize("cases", [[], [[]], [[(1.0, 1.0)], []]])
def test_no_cases_have_no_mean(cases: list[list[tuple[float, float]]]) -> None:
    with pytest.raises(ValueError, match="geometric mean"):
        geometric_mean(cases)
