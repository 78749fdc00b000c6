"""The recording rules and alerts: promtool's own tests, and that every rule has one and names only what is exported."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer import Exit

from rctl.cli.app import root
from rctl.host import Host
from rctl.limits import Limits, decode, nest
from tests.exporter_rules.promql import ALERTS, RULES, UnknownError, output, promtool, rules

SUITES = sorted((Path(__file__).parents[1] / "exporter_rules").glob("*.yml"))
TESTS: list[dict[str, Any]] = [test for suite in SUITES for test in yaml.safe_load(suite.read_text())["tests"]]
CHECKS: list[dict[str, Any]] = [check for test in TESTS for check in test.get("alert_rule_test", [])]
FIRED: list[dict[str, Any]] = [alert for check in CHECKS for alert in check.get("exp_alerts") or []]
NAMES = [rule["alert"] for rule in rules(ALERTS)]
NOWHERE = Host(lambda path: "")
IMMEDIATE = {"RctlVeOomKill", "RctlVeForksRefused"}
"""What has happened has happened: there is nothing to wait for."""


@pytest.mark.parametrize("file", [RULES, ALERTS], ids=lambda file: file.name)
def test_promtool_takes_the_rules(file: Path) -> None:
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_promtool_finds_that_the_rules_do_what_they_should(suite: Path) -> None:
    done = promtool("test", "rules", suite)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_seen_to_fire_and_not_to_fire(name: str) -> None:
    checks = [check for check in CHECKS if check["alertname"] == name]
    assert any(check.get("exp_alerts") for check in checks), "no test in which it fires"
    assert any(not check.get("exp_alerts") for check in checks), "no test in which it does not fire"


def test_every_recording_rule_is_tested() -> None:
    asked = " ".join(check["expr"] for test in TESTS for check in test.get("promql_expr_test", []))
    assert [rule["record"] for rule in rules(RULES) if rule["record"] not in asked] == []


@pytest.mark.parametrize("rule", rules(RULES), ids=lambda rule: rule["record"].split(":")[1])
def test_a_recording_rule_is_named_after_the_labels_it_keeps(rule: dict[str, Any]) -> None:
    level, metric, operation = rule["record"].split(":")
    labels = output(rule["expr"], {}) | set(rule.get("labels", {}))
    remaining = level
    for label in sorted(labels - {"job"}, key=len, reverse=True):
        assert label in remaining, f"{level} does not say {label}"
        remaining = remaining.replace(label, "", 1)
    assert remaining.strip("_") == "", f"{level} says more than {sorted(labels)}"
    assert metric.startswith("rctl_ve_")
    assert re.fullmatch(r"rate5m|ratio|ratio_rate5m", operation)


@pytest.mark.parametrize("rule", rules(ALERTS), ids=NAMES)
def test_an_alert_uses_only_what_is_exported_and_says_what_is_to_be_done(rule: dict[str, Any]) -> None:
    labels = output(rule["expr"])
    texts = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels
    for query in re.findall(r'printf "([^"]*\{instance=%q[^"]*)"', texts):
        output(query.replace("%q", '"x"'))
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert "`rctl " in rule["annotations"]["description"]
    assert ("for" in rule) == (rule["alert"] not in IMMEDIATE)


def commands() -> list[str]:
    """Every command that an alert of the tests proposes, as somebody would copy it."""
    texts = [alert["exp_annotations"]["description"] for alert in FIRED]
    return sorted({command for text in texts for command in re.findall(r"`(rctl [^`]+)`", text)})


@pytest.mark.parametrize("command", commands())
def test_a_proposed_command_is_one_that_rctl_has(command: str) -> None:
    verbs = [word for word in shlex.split(command)[1:] if re.fullmatch(r"[a-z]+", word)]
    depth = 2 if verbs[0] == "exporter" else 1
    words = [*verbs[:depth], "--help"]
    with pytest.raises(Exit) as end, root().make_context("rctl", words) as context:
        context.command.invoke(context)
    assert end.value.exit_code == 0


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("rctl set ")])
def test_a_proposed_limit_is_one_that_rctl_takes(command: str) -> None:
    _, _, name, setting = shlex.split(command)
    key, value = setting.split("=", 1)
    value = {"SIZE": "1G", "CPUS": "2", "COUNT": "500", "VALUE": "1G"}.get(value, value)  # what people fill in
    assert name
    assert decode(nest({key: value}), NOWHERE) != Limits()


def test_a_query_that_names_what_is_not_exported_is_found_out() -> None:
    for wrong in (
        "rctl_ve_nothing",
        "rctl_ve_memory_stat_nothing_bytes",
        'rctl_ve_pids_current{device="vda"}',
        "sum by (device) (rctl_ve_pids_current)",
        "rctl_ve_io_reads_total / on (instance, ve, device) rctl_ve_pids_max",
        "rctl_ve_io_reads_total / rctl_ve_pids_max",
    ):
        with pytest.raises(UnknownError):
            output(wrong)
