"""Which metrics and labels the exporter, Prometheus and the recording rules give, and which ones a query uses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from rctl_exporter import families, memory_stat, owner
from rctl_exporter.self_metrics import Own
from tests.lab.tools import prometheus_folder

TOP = Path(__file__).parents[2]
RULES = TOP / "exporters" / "prometheus" / "rctl.rules.yml"
ALERTS = TOP / "exporters" / "prometheus" / "rctl.alerts.yml"
TARGET = frozenset({"instance", "job"})
"""Labels that Prometheus gives to whatever it scrapes."""

Labels = frozenset[str]


class UnknownError(Exception):
    """A query names what nobody exports."""


def promtool(*words: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool, fetched the first time."""
    program = prometheus_folder() / "bin" / "promtool"
    return subprocess.run([program, *words], input=text, capture_output=True, text=True)


@cache
def rules(path: Path) -> list[dict[str, Any]]:
    """All rules of a rule file, in order."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


@cache
def exported() -> Mapping[str, Labels]:
    """The labels of every sample of the exporter and of Prometheus' own about it, but memory.stat's."""
    everything = (
        *families.IDENTITY, *families.CPU, *families.MEMORY, *families.NUMA, *families.PRESSURE, *families.IO,
        *families.OTHERS,
    )  # fmt: skip
    found = {one.sample: TARGET | {"ve"} | set(one.labels) for one in everything}
    found["rctl_ve_info"] |= {*owner.LABELS}
    found |= {sample: TARGET | labels for sample, labels in _own()}
    return found | dict.fromkeys(("up", "scrape_duration_seconds"), TARGET)


def _own() -> Iterator[tuple[str, frozenset[str]]]:
    own = Own()
    own.collected("cpu", 0.1, True)
    own.scraped(0.1, 1, 0, 0, 1, 1, {"memory.max": 1}, {"memory.max": 1})
    for metric in own.metrics():
        yield metric.sample, frozenset(metric.labels)


@cache
def recorded() -> Mapping[str, Labels]:
    """The labels of what the recording rules make, in the order of the file."""
    found: dict[str, Labels] = {}
    for rule in rules(RULES):
        labels = frozenset(output(rule["expr"], found) | set(rule.get("labels", {})))
        if found.setdefault(rule["record"], labels) != labels:
            raise UnknownError(f"{rule['record']}: its rules give different labels")
    return found


def labels_of(name: str, made: Mapping[str, Labels]) -> Labels:
    """The labels of a metric. Raises UnknownError for one that nobody exports or makes."""
    if name in made:
        return made[name]
    if name in exported():
        return exported()[name]
    if match := re.fullmatch(r"rctl_ve_memory_stat_(\w+?)(_bytes|_total)", name):
        key = "sec_pagetables" if match[1] == "secondary_pagetables" else match[1]
        if (family := memory_stat.family(key)) and family.sample == name:
            return TARGET | {"ve"}
    raise UnknownError(f"{name}: no such metric")


def output(query: str, made: Mapping[str, Labels] | None = None) -> Labels:
    """The labels that a query's result has. ``made``: what recording rules give (unset: all of them).

    Raises UnknownError for a metric that is not exported, and for a label that the metric does not have.
    """
    return _of(promql.parse(query), recorded() if made is None else made)


def _of(node: Any, made: Mapping[str, Labels]) -> Labels:
    """The labels of a part of a query."""
    if isinstance(node, promql.VectorSelector):
        labels = labels_of(node.name or "", made)
        _known((matcher.name for matcher in node.matchers.matchers), labels, node)
        return labels
    if isinstance(node, promql.MatrixSelector):
        return _of(node.vector_selector, made)
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        return _of(node.expr, made)
    if isinstance(node, promql.AggregateExpr):
        return _aggregate(node, made)
    if isinstance(node, promql.BinaryExpr):
        return _binary(node, made)
    if isinstance(node, promql.Call):
        return frozenset().union(*(_of(part, made) for part in node.args))
    return frozenset()


def _aggregate(node: promql.AggregateExpr, made: Mapping[str, Labels]) -> Labels:
    inner = _of(node.expr, made)
    if str(node.op) in ("topk", "bottomk"):
        return inner
    if node.modifier is None:
        return frozenset()
    _known(node.modifier.labels, inner, node)
    return frozenset(node.modifier.labels)


def _binary(node: promql.BinaryExpr, made: Mapping[str, Labels]) -> Labels:
    """Operands are matched on all labels, or on those after ``on``, which both must have."""
    left, right = _of(node.lhs, made), _of(node.rhs, made)
    on = node.modifier.matching.labels if node.modifier and node.modifier.matching else None
    if on is not None:
        _known(on, left & right, node)
    elif left and right and left != right and str(node.op) != "or":
        raise UnknownError(f"{node.prettify()}: {sorted(left)} can never match {sorted(right)}")
    return left or right


def _known(names: Iterable[str], labels: Labels, node: Any) -> None:
    if missing := set(names) - labels:
        raise UnknownError(f"{node.prettify()}: no label {', '.join(sorted(missing))}")
