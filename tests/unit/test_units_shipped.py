"""The systemd units that restore and keep limits: they call verbs that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rctl.cli.app import root

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_verb_and_names_its_manual(unit: Path) -> None:
    text = unit.read_text()
    (verb,) = re.findall(r"^ExecStart=/usr/local/bin/rctl (\w+)$", text, re.MULTILINE)
    assert verb in root().commands
    assert f"Documentation=man:rctl-{verb}(1)" in text
    assert unit.name == f"rctl-{verb}.service"
    assert "WantedBy=multi-user.target" in text


def test_what_says_that_it_is_ready_is_waited_for() -> None:
    (keep,) = (unit.read_text() for unit in UNITS if "keep" in unit.name)
    assert "Type=notify" in keep
