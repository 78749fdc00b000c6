"""One name, one thing: no two classes or type aliases of the project have the same name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Classes, and aliases and constants at the top that are written as classes are, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, node.lineno
    for statement in tree.body:
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                yield target.id, statement.lineno


def twice(texts: dict[str, str]) -> dict[str, list[str]]:
    """Names that stand for two things, with their places. ``texts``: of files by path."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, text in texts.items():
        for name, line in names(ast.parse(text)):
            found[name].append(f"{path}:{line}")
    return {name: places for name, places in found.items() if len(places) > 1}


def test_a_class_s_name_stands_for_one_thing() -> None:
    files = [path for folder in ("rctl", "exporters") for path in (TOP / folder).rglob("*.py")]
    assert twice({str(path.relative_to(TOP)): path.read_text() for path in files}) == {}


def test_a_name_for_two_things_is_found() -> None:
    texts = {"a.py": "class Place: pass\nLIMIT = 1\n", "b.py": "Place = tuple[str, int]\nLIMIT: int = 2\n"}
    assert twice(texts) == {"Place": ["a.py:1", "b.py:1"]}
