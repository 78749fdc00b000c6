"""The dashboard: it is what its source makes, every query names what is exported, and Grafana can lay it out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rctl_exporter import families
from tests.exporter_rules.promql import exported, output, promtool

TARGET = Path(__file__).parents[2] / "exporters" / "grafana" / "rctl.json"
BOARD: dict[str, Any] = json.loads(TARGET.read_text())
VARIABLES = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
STANDINS = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$instance": "host",
    "$top": "10",
    "$ve": "web1",
}
"""What Grafana puts in place of its variables."""


class Query(NamedTuple):
    """A query of a panel, as Prometheus gets it, and the name of what it draws."""

    expr: str
    legend: str


def panels(where: dict[str, Any] = BOARD) -> Iterator[dict[str, Any]]:
    """All panels but the rows, those inside closed rows too."""
    for panel in where["panels"]:
        if panel["type"] == "row":
            yield from panels(panel)
        else:
            yield panel


def filled(expr: str) -> str:
    for name, value in STANDINS.items():
        expr = expr.replace(name, value)
    return expr


PANELS = list(panels())
EACH = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def queries(panel: dict[str, Any]) -> list[Query]:
    return [Query(filled(target["expr"]), target.get("legendFormat", "")) for target in panel["targets"]]


QUERIES = [query for panel in PANELS for query in queries(panel)]


# The library would rather make the newer form of dashboards, which Grafana before 13 does not take.
@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")
def test_the_json_is_what_its_source_makes() -> None:
    from exporters.grafana.dashboard import text

    assert TARGET.read_text() == text(), "run: python -m exporters.grafana"


def test_every_query_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    rules = [{"record": f"panel:query:{place}", "expr": query.expr} for place, query in enumerate(QUERIES)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout


@EACH
def test_a_query_names_only_metrics_and_labels_that_are_exported(panel: dict[str, Any]) -> None:
    for query in queries(panel):
        assert "$" not in query.expr
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= output(query.expr)


GRAPHS = [panel for panel in PANELS if panel["type"] == "timeseries"]


@pytest.mark.parametrize("panel", GRAPHS, ids=lambda panel: panel["title"])
def test_each_line_of_a_graph_has_a_name_of_its_own(panel: dict[str, Any]) -> None:
    names = [query.legend for query in queries(panel)]
    assert all(names)
    assert len(set(names)) == len(names)
    for query in queries(panel):
        chosen = {"instance", "job"} | ({"ve"} if 've="web1"' in query.expr else set())
        told = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        several = output(query.expr) - (chosen if "ve" in chosen else {"job"})
        assert several <= told, f"{query.expr}: several lines would be named {query.legend}"


@EACH
def test_no_limit_is_drawn_where_there_is_none(panel: dict[str, Any]) -> None:
    limits = {"cpu_limit_cores", "cpu_effective_limit_cores", "memory_effective_limit_bytes"} | {
        family.name
        for group in (families.MEMORY, families.IO, families.OTHERS)
        for family in group
        if family.collector == "limits" and re.search(r"_(max|high|low|min)(_|$)", family.name)
    }
    for query in queries(panel):
        alone = re.fullmatch(r"(?:max by \(instance, ve\) \()?rctl_ve_(\w+)\{[^}]*\}(?P<rest>.*)", query.expr)
        if alone and alone[1] in limits:
            assert "< Inf" in alone["rest"]


@EACH
def test_a_panel_explains_itself_and_has_a_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] == "table":
        assert all(units(panel, title) for title in titles(panel) - {"VE", "Host", "Limit", "Reason"})
    else:
        assert panel["fieldConfig"]["defaults"]["unit"]


def titles(panel: dict[str, Any]) -> set[str]:
    organize = next(one for one in panel["transformations"] if one["id"] == "organize")
    return set(organize["options"]["renameByName"].values())


def units(panel: dict[str, Any], title: str) -> list[str]:
    return [
        setting["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"] == {"id": "byName", "options": title}
        for setting in override["properties"]
        if setting["id"] == "unit"
    ]


@pytest.mark.parametrize("panel", [one for one in PANELS if one["type"] == "table"], ids=lambda panel: panel["title"])
def test_a_table_shows_each_of_its_labels_and_values_once(panel: dict[str, Any]) -> None:
    organize = next(one["options"] for one in panel["transformations"] if one["id"] == "organize")
    refs = [target["refId"] for target in panel["targets"]]
    values = {"Value"} if len(refs) == 1 else {f"Value #{ref}" for ref in refs}
    for query in queries(panel):
        assert set(organize["renameByName"]) == values | output(query.expr)
    assert len(set(organize["renameByName"].values())) == len(organize["renameByName"])


def test_panels_lie_inside_the_grid_and_not_over_one_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_row_and_panel_has_a_number_of_its_own() -> None:
    rows = [panel for panel in BOARD["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in (*rows, *PANELS)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_the_variables_are_asked_of_what_is_exported() -> None:
    assert list(VARIABLES) == ["datasource", "instance", "owner", "ve", "top"]
    for name in ("instance", "owner", "ve"):
        variable = VARIABLES[name]
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert asked
        assert asked[2] in output(filled(asked[1]))
        assert variable["datasource"]["uid"] == "${datasource}"
    used = {name for name in re.findall(r"\$\{?(\w+)", TARGET.read_text()) if not name.startswith("__")}
    assert used == set(VARIABLES)


def test_every_family_is_shown_but_those_that_are_left_out_on_purpose() -> None:
    everything = " ".join(query.expr for query in QUERIES)
    missing = [name for name in exported() if not re.search(rf"\b{name}\b", everything)]
    assert set(missing) == LEFT_OUT


LEFT_OUT = {
    *(f"rctl_ve_memory_events_local_{key}_total" for key in ("low", "high", "max", "oom", "oom_kill")),
    *(f"rctl_ve_memory_events_local_{key}_total" for key in ("oom_group_kill", "sock_throttled")),
    "rctl_ve_cpu_nice_seconds_total",
    "rctl_ve_io_discards_total",
    "rctl_ve_io_latency_target_seconds",
    "rctl_ve_zswap_writeback",
    "process_start_time_seconds",
    "process_max_fds",
}
"""What is only of interest to who asks Prometheus himself."""
