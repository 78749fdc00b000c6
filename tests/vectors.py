"""The facts in ``vectors.json``: what other systems and real kernels answered to exact inputs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Vector(NamedTuple):
    """One input and what it gave. ``expect`` holds ``error``, ``errno``, or results by name."""

    id: str
    group: str
    input: dict[str, Any]
    expect: dict[str, Any]


def _load() -> tuple[Vector, ...]:
    data = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
    return tuple(Vector(v["id"], v["group"], v["input"], v["expect"]) for v in data["vectors"])


ALL = _load()
GROUPS = frozenset(vector.group for vector in ALL)


def parametrize(groups: Iterable[str], without: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Run a test for each vector of the groups, but for the ids that are left out, as ``vector``."""
    chosen, left_out = set(groups), set(without)
    found = [vector for vector in ALL if vector.group in chosen and vector.id not in left_out]
    return pytest.mark.parametrize("vector", found, ids=[vector.id for vector in found])
