"""Finds the positions of the figures in the texts of interface files once, and then reads them from every later text.

A layout is a regular expression made from texts that were read: everything except numbers must be the same, and each
wanted figure is a group. One match checks the whole text, also whether it was cut off, and gives the figures as bytes.
It understands all formats of https://docs.kernel.org/admin-guide/cgroup-v2.html#format. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

FigureRow = tuple[bytes, ...]

_FIGURE, _NUMBER = b"([0-9]++)", b"[0-9.]++"


class FigurePlace(NamedTuple):
    """One figure's place: the file, the line's name (``some``, ``8:0``; empty if the key names it) and the key."""

    file: str
    line: str
    key: str


Wanted = Callable[[FigurePlace], bool]


class Layout:
    """The positions of the figures. Texts that differ only in numbers have the same ``pattern``.

    ``columns``: the places of the figures in ``row``, in that order.
    """

    __slots__ = ("_match", "columns", "pattern")

    def __init__(self, texts: Mapping[str, bytes], wanted: Wanted) -> None:
        """Made from whole texts by file name."""
        columns: list[FigurePlace] = []
        parts: list[bytes] = []
        for name, text in texts.items():
            for number, line in enumerate(text.split(b"\n")):
                if number:
                    parts.append(b"\n")
                for word, column in _words(name, line):
                    if column and wanted(column):
                        columns.append(column)
                        parts.append(_FIGURE)
                    else:
                        parts.append(_NUMBER if column or _is_number(word) else re.escape(word))
        self.columns = tuple(columns)
        self.pattern = b"".join(parts)
        self._match = re.compile(self.pattern).fullmatch

    def row(self, text: bytes) -> FigureRow | None:
        """The figures in the joined texts; ``None`` if the texts have another layout."""
        found = self._match(text)
        return found.groups() if found else None


def _words(file: str, line: bytes) -> Iterator[tuple[bytes, FigurePlace | None]]:
    """A line in pieces, blanks included; each figure with its column."""
    pieces = re.split(rb"([ =\t]+)", line)
    for index, piece in enumerate(pieces):
        yield piece, _column(file, pieces, index) if piece.isdigit() else None


def _column(file: str, pieces: list[bytes], index: int) -> FigurePlace | None:
    """The column of the number at an index; ``None`` if nothing names it.

    Some kernels begin a line of ``io.stat`` with devices that have no figures: ``7:7 7:6 7:4 rbytes=1`` is of 7:4.
    """
    names = [piece.decode("ascii", "replace") for piece in pieces[::2]]
    at = index // 2
    if len(names) == 1:
        return FigurePlace(file, "", "")
    if at and pieces[index - 1] == b"=":
        first = pieces.index(b"=") // 2
        return FigurePlace(file, names[first - 1] if first else "", names[at - 1])
    return FigurePlace(file, "", names[0]) if len(names) == 2 else None


def _is_number(word: bytes) -> bool:
    return word.replace(b".", b"", 1).isdigit()
