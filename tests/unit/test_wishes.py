"""The list of what people do on a host that systemd runs names tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.systemd import WISHES

FOLDER = Path(__file__).parents[1] / "systemd"
TESTS = {
    f"{file.stem}::{part.name}"
    for file in FOLDER.glob("test_*.py")
    for part in ast.parse(file.read_text()).body
    if isinstance(part, ast.FunctionDef) and part.name.startswith("test_")
}


@pytest.mark.parametrize("wish", WISHES)
def test_each_wish_names_tests_that_exist(wish: str) -> None:
    assert WISHES[wish]
    assert {*WISHES[wish]} <= TESTS
