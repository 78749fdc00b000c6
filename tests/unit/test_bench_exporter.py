"""What the costs of scrapes say: ratios of pairs, what is promised where, and what is only shown."""

import pytest

from rctl.bench.figures.result import Figure
from rctl.bench.scraping.figures import BUSY, PROMISED, Cost, Measured, Round, figures, series

MS = 1_000_000


def count(ves: int, bare: float, rctl: float, plain: float = 100.0) -> Measured:
    """A count whose scrapes take so many milliseconds."""
    scrape = Cost(int(rctl * MS), 1, 5, 40 << 20, 50 * 100, 100)
    served = Cost(int((rctl + 4) * MS), 1, 2, 60 << 20)
    rounds = [Round(Cost(int(bare * MS), 1, 1), scrape, served)] * 8
    pairs = [(Cost(int(rctl * MS), 1, 1), Cost(int(plain * MS), 1, 1))]
    return Measured(ves, ves * 20, "readloop.c", rounds, rounds, rounds, pairs)


def by_name(found: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in found}


def test_the_ratio_is_that_of_pairs_and_judged_at_the_promised_number_of_ves_at_work() -> None:
    found = by_name(figures([count(PROMISED, 10, 16)], [], "full"))
    judged = found[f"scrape over bare reads, {PROMISED} VEs, {BUSY:.0%} at work"]
    assert (judged.value, judged.budget, judged.verdict) == (pytest.approx(1.6), 1.7, "pass")
    assert found[f"scrape over bare reads, {PROMISED} VEs, 0% at work"].verdict == ""


def test_a_served_scrape_has_a_promise_of_its_own() -> None:
    name = f"served scrape over bare reads, {PROMISED} VEs, {BUSY:.0%} at work"
    judged = by_name(figures([count(PROMISED, 10, 16)], [], "full"))[name]
    assert (judged.value, judged.budget, judged.verdict) == (pytest.approx(2.0), 2.2, "pass")
    assert by_name(figures([count(PROMISED, 10, 19)], [], "full"))[name].verdict == "fail"


def test_memory_is_the_cgroups() -> None:
    assert by_name(figures([count(100, 10, 16)], [], "full"))["memory, 100 VEs"].value == 60 << 20


def test_a_scrape_that_costs_too_much_fails() -> None:
    found = by_name(figures([count(PROMISED, 10, 20)], [], "full"))
    assert found[f"scrape over bare reads, {PROMISED} VEs, {BUSY:.0%} at work"].verdict == "fail"


@pytest.mark.parametrize(("ves", "profile"), [(100, "full"), (PROMISED, "core")])
def test_nothing_is_promised_elsewhere(ves: int, profile: str) -> None:
    assert {figure.verdict for figure in figures([count(ves, 10, 90)], [], profile)} == {""}


def test_a_plain_collector_must_cost_ten_times_as_much() -> None:
    name = f"a plain collector over rctl, {PROMISED} VEs"
    assert by_name(figures([count(PROMISED, 10, 16, 320)], [], "full"))[name].verdict == "pass"
    assert by_name(figures([count(PROMISED, 10, 16, 80)], [], "full"))[name].verdict == "fail"


def test_nanoseconds_are_not_judged_where_they_count_instructions() -> None:
    name = f"rendering a sample, {PROMISED} VEs"
    assert by_name(figures([count(PROMISED, 10, 16)], [], "full"))[name].verdict == "pass"
    counted = by_name(figures([count(PROMISED, 10, 16)], [], "full", counted=True))[name]
    assert (counted.verdict, "not judged" in counted.note) == ("", True)


def test_the_cost_per_ve_is_to_be_flat() -> None:
    flat = by_name(figures([count(100, 1, 2), count(5000, 50, 100)], [], "full"))
    assert flat["CPU per VE, 5000 VEs over 100"].value == pytest.approx(1)
    steep = by_name(figures([count(100, 1, 2), count(5000, 50, 200)], [], "full"))
    assert steep["CPU per VE, 5000 VEs over 100"].verdict == "fail"


def test_the_series_have_a_point_for_each_number_of_ves() -> None:
    assert {one.x for one in series([count(1, 1, 2), count(100, 10, 20)])} == {(1.0, 100.0)}
