"""The mark in each file that ``rctl setup`` writes, so that it knows its own files, and those that were edited since.

The mark is a comment with a hash of the rest of the file. No list is kept elsewhere that could differ from the files.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

FileState = Literal["absent", "same", "older", "edited", "foreign"]
"""What is at the place of a file: nothing; the same text; a text of ``rctl setup`` with other contents; such a text
that was edited since; something else."""
_MARK = re.compile(r"^(?:#|\.\\\") Written by rctl setup \(([0-9a-f]{16})\)\..*\n", re.MULTILINE)
_NOT_FIRST = ("#compdef",)
"""First lines that must stay the first: zsh reads the name of the command there."""


def marked(text: str, comment: str = "#", advice: str = "") -> str:
    """The text with its mark. ``comment``: what begins a comment. ``advice``: a sentence for who wants to edit it."""
    first, rest = "", text
    if text.startswith(_NOT_FIRST):
        first, rest = text.split("\n", 1)
        first += "\n"
    return f"{first}{comment} Written by rctl setup ({_hash(text)}).{' ' * bool(advice)}{advice}\n{rest}"


def state(there: str | None, wanted: str | None) -> FileState:
    """What a place holds. ``there``: its text, ``None`` if nothing is there, ``""`` if it is no text file."""
    if there is None:
        return "absent"
    if there == wanted:
        return "same"
    if not (mark := _MARK.search(there)):
        return "foreign"
    return "older" if mark[1] == _hash(_MARK.sub("", there, count=1)) else "edited"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
