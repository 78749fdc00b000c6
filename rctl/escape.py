"""Escapes text from outside before it is shown: it cannot move the cursor, colour the screen or end a line."""

from __future__ import annotations

import re

from .late_regex import regex

_LONG = regex(r"(\S{64})\S{900,}(\S{32})")
_MUCH = 64 + 900 + 32
"""A text with fewer characters has no such word."""
_ODD = regex(r"[^\x20-\x7e\n]")


def escaped(text: str) -> str:
    """The text on one line; characters that cannot be printed are written as in Python (``\\x1b``, ``\\u202e``).

    These are control characters (C0, C1, DEL), line ends, bidirectional controls and bytes that are no UTF-8 (which
    Python holds as lone surrogates). https://www.unicode.org/reports/tr9, https://www.unicode.org/reports/tr36
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(text: str) -> str:
    """The text without the middle of each word that is longer than most paths: it was typed or planted."""
    if len(text) < _MUCH:
        return text
    return _LONG.sub(lambda match: f"{match[1]}...{match[2]}", text)


def escaped_json(text: str, ascii_only: bool = False) -> str:
    """JSON with the same characters in JSON's own escapes (RFC 8259, section 7); its line ends stay."""

    def safe(match: re.Match[str]) -> str:
        letter = match[0]
        if letter.isprintable() and not ascii_only:
            return letter
        units = letter.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))

    return _ODD.sub(safe, text)
