"""``make mutants`` is a matter of minutes; that it names files that are there is one of milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import MODULES

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("module", MODULES)
def test_each_file_and_each_test_that_mutation_tests_name_is_there(module: str) -> None:
    files, tests = MODULES[module]
    named = [*(f"rctl/adjust/{name}.py" for name in files), *(f"tests/unit/test_{name}.py" for name in tests)]
    assert [path for path in named if not (TOP / path).is_file()] == []
