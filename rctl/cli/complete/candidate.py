"""One word that a shell may offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...escape import escaped


class Candidate(NamedTuple):
    """``word`` replaces the whole word under the cursor. ``more``: text follows it, so the shell adds no blank."""

    word: str
    help: str = ""
    more: bool = False

    def as_line(self) -> str:
        """The candidate as a line for the shells' scripts."""
        return f"{escaped(self.word)}\t{'+' if self.more else '.'}\t{escaped(self.help)}"


FILES = (Candidate(":files"),)
COMMANDS = (Candidate(":commands"),)


def beginning(incomplete: str, found: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that begin with the typed word."""
    return [candidate for candidate in found if candidate.word.startswith(incomplete)]
