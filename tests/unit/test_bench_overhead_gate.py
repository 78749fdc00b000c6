"""The gate's file: none is left out, none goes up, and what is over the budget is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rctl.bench.workloads import ALL
from tests.overhead import ceilings
from tests.overhead.ceilings import BUDGET, FILE, lowered, over, read, tolerance

TEXT = FILE.read_text()
INSTALLED = {"cc", "gzip", "zstd", "nginx", "wrk", "redis-server", "redis-benchmark"}
"""Programs that ``make test-overhead`` sees to."""
ALWAYS = [work for work in ALL if not set(work.needs) - INSTALLED]
APPLICATIONS = {work.name for work in ALL if work.application}
SAMPLE = """[tolerance]
usual = 0.5
"redis" = 1.0

[over]
"redis" = "switches"

[ceiling."6.1"]
# a remark
"sqlite" = 1.2
"read, cached" = 0.7
"redis" = 3

[ceiling."7"]
"sqlite" = 9
"""


@pytest.mark.parametrize("name", [work.name for work in ALWAYS])
def test_every_workload_that_is_always_there_has_a_ceiling(name: str) -> None:
    assert name in read(TEXT, "6.1")


def test_every_application_has_a_ceiling() -> None:
    assert set(read(TEXT, "6.1")) >= APPLICATIONS


def test_the_applications_that_are_over_the_budget_are_those_that_are_said_to_be() -> None:
    ceilings = read(TEXT, "6.1")
    assert {name for name in APPLICATIONS if ceilings[name] - tolerance(TEXT, name) > BUDGET} == set(over(TEXT))
    assert all(over(TEXT).values()), "each says what it pays for"


def test_only_workloads_have_ceilings() -> None:
    names = {work.name for work in ALL}
    assert set(read(TEXT, "6.1")) <= names


def test_a_ceiling_goes_down_to_what_was_measured_and_the_tolerance() -> None:
    found = read(lowered(SAMPLE, "6.1", {"sqlite": 0.301, "redis": 1.5}), "6.1")
    assert found == {"sqlite": 0.81, "read, cached": 0.7, "redis": 2.5}


def test_a_ceiling_never_goes_up() -> None:
    assert lowered(SAMPLE, "6.1", {"sqlite": 5.0, "read, cached": 0.2}) == SAMPLE


def test_the_other_kernels_and_the_remarks_stay_as_they_are() -> None:
    text = lowered(SAMPLE, "6.1", {"sqlite": 0.0})
    assert read(text, "7") == {"sqlite": 9}
    assert "# a remark" in text


def kept(folder: Path, *values: float | None) -> list[str]:
    """Results of the gate, one a file, with sqlite at these figures."""
    for number, value in enumerate(values):
        result = {"machine": {"lab kernel": "6.1"}, "figures": [{"name": "sqlite", "value": value}]}
        (folder / f"{number}.json").write_text(json.dumps(result))
    return [str(folder / f"{number}.json") for number in range(len(values))]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of ceilings in place of the gate's."""
    made = tmp_path / "ceilings.toml"
    made.write_text(SAMPLE)
    monkeypatch.setattr(ceilings, "FILE", made)
    return made


def test_of_several_runs_the_highest_figure_counts(file: Path, tmp_path: Path) -> None:
    ceilings.main(kept(tmp_path, 0.1, 0.4))
    assert read(file.read_text(), "6.1")["sqlite"] == 0.9


def test_what_a_run_lacks_stays_as_it_is(file: Path, tmp_path: Path) -> None:
    ceilings.main(kept(tmp_path, 0.1, None))
    assert file.read_text() == SAMPLE


def test_without_results_nothing_is_lowered() -> None:
    with pytest.raises(SystemExit, match="results of one kernel are needed"):
        ceilings.main([])
