"""The steps of an adjustment by the entry that they set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .plan import Set, Step

Key = tuple[str, str, str]
"""Path, file, and key in the file."""


def by_entry(steps: Iterable[Step]) -> dict[Key, list[Set]]:
    """The steps that set each entry, in their order.

    The first of them knows what was there before, and the last what is there in the end.
    """
    found: dict[Key, list[Set]] = defaultdict(list)
    for step in steps:
        if isinstance(step, Set):
            found[step.path, step.file, step.key].append(step)
    return found
