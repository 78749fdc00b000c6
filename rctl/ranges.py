"""Lists of CPUs and memory nodes, in the kernel's list format: ``0-3,8``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar, Self


class Ranges:
    """A set of CPU or node numbers, as ``0-3,8``; empty means "as the parent".

    It stores the first and last number of each range, so its cost depends on the text's length and not on the numbers.
    """

    __slots__ = ("_spans",)
    examples: ClassVar[str] = "0-3,8 (or an empty text: as the parent)"

    def __init__(self, numbers: tuple[int, ...] = ()) -> None:
        self._spans = _merged((number, number) for number in numbers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """All numbers, sorted."""
        return tuple(number for first, last in self._spans for number in range(first, last + 1))

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Read the kernel's list format, or a list of integers. Raises ValueError."""
        if isinstance(text, int) and not isinstance(text, bool):
            text = str(text)
        if isinstance(text, list) and all(type(n) is int for n in text):
            text = ",".join(map(str, text))
        if not isinstance(text, str):
            raise ValueError(f"{str(text)[:64]} is not a list of numbers. Write it like {cls.examples}")
        spans: list[tuple[int, int]] = []
        for part in filter(None, re.split(r"[,\s]*,[,\s]*|\s+", text.strip())):
            match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part, re.ASCII)
            if match is None or int(match[2] or match[1]) < int(match[1]):
                raise ValueError(f"{text[:64]!r} is not a list of numbers. Write it like {cls.examples}")
            spans.append((int(match[1]), int(match[2] or match[1])))
        made = cls()
        made._spans = _merged(spans)
        return made

    def __str__(self) -> str:
        return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in self._spans)

    def __repr__(self) -> str:
        return f"Ranges({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._spans == self._spans

    def __hash__(self) -> int:
        return hash(self._spans)


def _merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges in order; ranges that overlap or touch are joined."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)
