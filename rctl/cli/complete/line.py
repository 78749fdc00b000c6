"""Splits bash's line into words, and forms candidates for bash's line (bash(1), Programmable Completion)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import NamedTuple

from .candidate import Candidate

_CURSOR = "\0"


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

    bash adds no quotes, but closes an open one.
    """
    if typed.quote:
        return [candidate._replace(more=True) for candidate in candidates]
    in_quotes = set("'\"") & set(typed.raw)
    kept = (
        0 if in_quotes else max((typed.words[-1].rfind(sign) for sign in breaks if not sign.isspace()), default=-1) + 1
    )
    return [c if c.word[0] == ":" else c._replace(word=c.word[kept:].replace(" ", r"\ ")) for c in candidates]
