"""The gate's file: none is left out, none goes up, and what is over the budget says what it pays for."""

from __future__ import annotations

import pytest

from rctl.bench.workloads import ALL
from tests.overhead.ceilings import BUDGET, FILE, lowered, read, tolerance

TEXT = FILE.read_text()
INSTALLED = {"cc", "gzip", "zstd"}
"""Programs that ``make test-overhead`` sees to."""
ALWAYS = [work for work in ALL if not set(work.needs) - INSTALLED]
SAMPLE = """tolerance = 0.5

[ceiling."6.1"]
# a remark
"sqlite" = 1.2
"read, cached" = 0.7

[ceiling."7"]
"sqlite" = 9
"""


@pytest.mark.parametrize("name", [work.name for work in ALWAYS])
def test_every_workload_that_is_always_there_has_a_ceiling(name: str) -> None:
    assert name in read(TEXT, "6.1")


def test_what_may_cost_more_than_the_budget_says_what_it_pays_for() -> None:
    over = {name for name, ceiling in read(TEXT, "6.1").items() if ceiling > BUDGET + tolerance(TEXT)}
    assert over <= {work.name for work in ALL if work.pays}


def test_only_workloads_have_ceilings() -> None:
    names = {work.name for work in ALL}
    assert set(read(TEXT, "6.1")) <= names


def test_a_ceiling_goes_down_to_what_was_measured_and_the_tolerance() -> None:
    assert read(lowered(SAMPLE, "6.1", {"sqlite": 0.301}), "6.1") == {"sqlite": 0.81, "read, cached": 0.7}


def test_a_ceiling_never_goes_up() -> None:
    assert lowered(SAMPLE, "6.1", {"sqlite": 5.0, "read, cached": 0.2}) == SAMPLE


def test_the_other_kernels_and_the_remarks_stay_as_they_are() -> None:
    text = lowered(SAMPLE, "6.1", {"sqlite": 0.0})
    assert read(text, "7") == {"sqlite": 9}
    assert "# a remark" in text
