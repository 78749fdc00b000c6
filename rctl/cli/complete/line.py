"""Splits bash's line into words, and forms candidates for bash's line (bash(1), Programmable Completion)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from .candidate import Candidate

_CURSOR = "\0"
_PLAIN = "_./:@%+=,-"
"""Signs that mean nothing to bash."""


class TypedLine(NamedTuple):
    """The words up to the cursor; the last may be empty. ``raw``: the last as typed; ``quote``: the open quote."""

    words: list[str]
    raw: str
    quote: str


def split(text: str) -> TypedLine:
    """Split the line before the cursor as the shell does, and remove the quotes."""
    start, quote, skip = 0, "", False
    for place, letter in enumerate(text):
        if skip:
            skip = False
        elif letter == "\\" and quote != "'":
            skip = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter.isspace():
            start = place + 1
    words = shlex.split(text.removesuffix("\\" * skip) + _CURSOR + quote)
    return TypedLine([word.removesuffix(_CURSOR) for word in words], text[start:], quote)


def for_bash(candidates: Iterable[Candidate], typed: TypedLine, breaks: str) -> list[Candidate]:
    """The candidates as replacements for the text after bash's last word break, such as ``=``, or for a quoted word.

    bash adds no quotes, but closes an open one. It runs what a name holds, such as ``$(...)``, so all is quoted here.
    """
    if typed.quote:
        quoted = ((candidate, _within(candidate.word, typed.quote)) for candidate in candidates)
        return [candidate._replace(word=word, more=True) for candidate, word in quoted if word]
    kept = 0 if set("'\"") & set(typed.raw) else _kept(typed.raw, breaks)
    return [c if c.word[0] == ":" else c._replace(word=_quoted(c.word[kept:])) for c in candidates]


def _kept(raw: str, breaks: str) -> int:
    """How many characters of the word stand before bash's last word break. A sign after a backslash is none."""
    signs = re.findall(r"\\?.", raw)
    return max((place for place, sign in enumerate(signs, 1) if sign in breaks and not sign.isspace()), default=0)


def _quoted(word: str) -> str:
    """The word with a backslash before each character that may mean something to bash."""
    return "".join(sign if sign.isalnum() or sign in _PLAIN else f"\\{sign}" for sign in word)


def _within(word: str, quote: str) -> str:
    """The word as it is written within this quote; empty if that cannot be."""
    if quote == "'":
        return "" if "'" in word else word
    return "" if "!" in word else re.sub(r'([$`"\\])', r"\\\1", word)
