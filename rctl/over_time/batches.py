"""The batches of a rolling change: ``10%``, ``5``, or a list such as ``1,10%``, of which the last repeats. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from ..errors import UsageError

T = TypeVar("T")
_WORD = re.compile(r"([1-9][0-9]{0,6})(%?)", re.ASCII)


def sizes(text: str, count: int, whole: int | None = None) -> list[int]:
    """The size of each batch for so many VEs; their sum is ``count``. ``whole``: of how many they are the rest.

    A share is of the whole, rounded down, and at least one VE. Raises UsageError for anything else than numbers
    from 1 and shares from 1% to 100%.
    """
    words = [_one(text, word.strip(), whole or count) for word in text.split(",")]
    found: list[int] = []
    left = count
    for size in _repeated(words):
        if left <= 0:
            break
        found.append(min(size, left))
        left -= size
    return found


def _one(text: str, word: str, count: int) -> int:
    match = _WORD.fullmatch(word)
    if not match or (match[2] and int(match[1]) > 100):
        raise UsageError(f"--batch: {text!r} is not a size. Write a number of VEs or a share: 5, 10%, or 1,10%")
    number = int(match[1])
    return max(1, count * number // 100) if match[2] else number


def _repeated(words: Sequence[int]) -> Iterator[int]:
    yield from words
    while True:
        yield words[-1]


def batches(things: Sequence[T], text: str, whole: int | None = None) -> list[list[T]]:
    """The things in batches, in their order; as for ``sizes``. Raises UsageError for a wrong size."""
    found: list[list[T]] = []
    start = 0
    for size in sizes(text, len(things), whole):
        found.append(list(things[start : start + size]))
        start += size
    return found
