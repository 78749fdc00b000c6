"""The report: one file that needs nothing else, in which every figure stands with its origin."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from rctl.bench import report
from rctl.bench.figures.result import Figure, Result, Series, load
from rctl.bench.report import plots
from rctl.bench.verbs.everything import report as make_report
from rctl.errors import UsageError

pytest.importorskip("plotly", reason="the report needs rctl[report]")

BARS = (
    Figure("sqlite", 0.6, "percent", "one query; 8 pairs", 0.5, 0.7, 2.0, "pass", "applications"),
    Figure("TCP <request> & answer", 3.1, "percent", "8 pairs", 3.0, 3.2, 2.0, "fail", "network", "switches cost"),
    Figure("fio", None, "percent", "fio not installed", verdict="not measured", group="files"),
)
HEAT = tuple(Series(name, ("fork", "pipe"), (1.0, -2.0), "percent", "workload", "explain") for name in ("a", "b", "c"))
LINES = (Series("all", (10.0, 100.0, 1000.0), (0.001, 0.01, 0.1), "seconds", "VEs", "a scrape"),)


def result(bench: str = "overhead", clock: str = "wall", **more: object) -> Result:
    machine = {"kernel": "6.1.0", "CPU": "some </script> CPU", "boot": "1"}
    fields = {"figures": BARS, "series": ()} | more
    return Result(bench, "rctl bench overhead", 1e9, 75.0, clock, machine, **fields)  # type: ignore[arg-type]


def without_script(page: str) -> str:
    """The page's own text, without Plotly's script."""
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_every_figure_is_there_with_value_interval_budget_verdict_and_origin() -> None:
    text = without_script(report.page([result()]))
    for part in ("sqlite", "0.60 %", "0.50 % to 0.70 %", "&lt;= 2.00 %", "one query; 8 pairs", "switches cost"):
        assert part in text
    assert text.count(">pass<") == 1
    assert text.count("fio not installed") == 1


def test_the_page_says_whether_all_is_well() -> None:
    assert "At least one figure is over its budget" in report.page([result()])
    assert "Every figure with a budget is within it" in report.page([result(figures=BARS[:1])])


def test_names_and_facts_cannot_break_the_page() -> None:
    page = report.page([result()])
    assert "TCP &lt;request&gt; &amp; answer" in page
    assert "some &lt;/script&gt; CPU" in page
    assert page.count("</script>") == page.count("<script>")


def test_nothing_is_fetched() -> None:
    text = without_script(report.page([result(), result("explain", figures=(), series=HEAT)]))
    assert not re.findall(r'(?:src|href)=(?!"data:)\S+', text)
    assert "@import" not in text


def test_the_same_results_give_the_same_page() -> None:
    assert report.page([result()]) == report.page([result()])


def test_an_instruction_clock_and_an_interruption_are_said() -> None:
    text = report.page([result(clock="instructions", interrupted=True)])
    assert "Measured on an instruction clock" in text
    assert "overhead was interrupted" in text


def test_results_of_different_clocks_and_machines_are_said_and_each_part_says_its_own() -> None:
    other = Result("life", "", 1e9, 1.0, "instructions", {"kernel": "6.1.0", "CPU": "another", "load": "0.5"}, BARS)
    text = without_script(report.page([result(), other]))
    assert "Partly measured on an instruction clock" in text
    assert "Not measured on one machine" in text
    assert "CPU: some &lt;/script&gt; CPU and another" in text
    head, *parts = text.split("<section")
    assert "<b>kernel</b> 6.1.0" in head
    assert [("<b>clock</b> wall" in part, "<b>load</b> 0.5" in part) for part in parts] == [
        (True, False),
        (False, True),
    ]


def test_one_benchmark_on_two_clocks_is_two_parts_with_their_own_plots() -> None:
    both = [result(), result(clock="instructions")]
    assert [plot.place for plot in plots.all_of(both)] == ["overhead-wall", "overhead-instructions"]
    parts = report.page(both).split("<section")[1:]
    assert [part.count("<div id=plot") for part in parts] == [1, 1]


def test_no_results_make_a_page_too() -> None:
    assert "Nothing here has a budget" in report.page([])


def test_bars_have_their_intervals_and_the_budget_is_a_line() -> None:
    (plot,) = plots.all_of([result()])
    (bars,) = plot.data
    assert bars["y"] == ["sqlite", "TCP <request> & answer"]
    assert bars["x"] == [0.6, 3.1]
    assert bars["error_x"]["array"] == pytest.approx([0.1, 0.1])
    assert [line["x0"] for line in plot.layout["shapes"]] == [2.0]


def test_bars_with_budgets_of_their_own_have_a_line_each() -> None:
    figures = [Figure(str(n), 1.0, "ratio", "", budget=n, group="engine") for n in (1.5, 2.0)]
    (plot,) = plots.all_of([result(figures=tuple(figures))])
    assert [(line["x0"], line["y0"]) for line in plot.layout["shapes"]] == [(1.5, -0.45), (2.0, 0.55)]


def test_values_far_apart_stand_on_a_logarithmic_axis() -> None:
    times = tuple(Figure(str(t), t, "seconds", "", group="felt") for t in (0.001, 1.0))
    (plot,) = plots.all_of([result(figures=times)])
    assert plot.layout["xaxis"]["type"] == "log"


def test_many_series_over_the_same_names_are_a_heat_map_in_place_of_bars() -> None:
    (plot,) = plots.all_of([result("explain", series=HEAT)])
    (heat,) = plot.data
    assert (heat["type"], heat["x"], heat["y"]) == ("heatmap", ["fork", "pipe"], ["a", "b", "c"])
    assert heat["z"] == [[1.0, -2.0]] * 3


def test_a_state_without_a_figure_leaves_a_hole_in_the_heat_map() -> None:
    short = Series("d", ("pipe",), (5.0,), "percent", "workload", "explain")
    (plot,) = plots.all_of([result("explain", figures=(), series=(*HEAT, short))])
    assert plot.data[0]["z"][3] == [None, 5.0]


def test_series_over_numbers_are_lines() -> None:
    (plot,) = plots.all_of([result("exporter", figures=(), series=LINES)])
    assert plot.title == "a scrape, by VEs"
    assert plot.data[0]["y"] == pytest.approx([1.0, 10.0, 100.0])


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        report.check(str(tmp_path / "no" / "report.html"))


def test_the_file_is_the_page(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    report.check(str(file))
    report.write(str(file), [result()])
    assert file.read_text() == report.page([result()])


def test_percentages_stand_on_a_plain_axis_for_they_may_be_nothing_or_less() -> None:
    shares = tuple(Figure(str(p), p, "percent", "") for p in (0.01, -0.2, 5.0))
    (plot,) = plots.all_of([result(figures=shares)])
    assert "type" not in plot.layout["xaxis"]


def test_of_very_many_figures_those_in_a_heat_map_are_folded_up() -> None:
    mapped = tuple(Figure(f"fork: state {n}", 1.0, "percent", "", group="fork") for n in range(100))
    summed = Figure("the sum of it", 1.0, "percent", "", group="sums")
    open_, folded = without_script(report.page([result("explain", figures=(*mapped, summed), series=HEAT)])).split(
        "<summary>the 100 figures of the map</summary>"
    )
    assert "the sum of it" in open_
    assert "fork: state 99" in folded
    assert "<summary>" not in without_script(report.page([result()]))


def test_a_page_never_takes_the_place_of_the_results_it_is_made_from(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(msgspec.json.encode(result()))
    before = file.read_bytes()
    with pytest.raises(UsageError, match="is one of the results; writing there would destroy it"):
        make_report([str(file)], str(file))
    assert file.read_bytes() == before


def test_results_of_an_impossible_time_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(result(), time=1e30)))
    with pytest.raises(UsageError, match="a time is out of range"):
        load(str(file))
