"""One word that a shell may offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...escape import escaped


class Candidate(NamedTuple):
    """``word`` stands for the whole word under the cursor. ``more``: something follows it, so no blank does."""

    word: str
    help: str = ""
    more: bool = False

    def as_line(self) -> str:
        """As the shells' scripts read it."""
        return f"{escaped(self.word)}\t{'+' if self.more else '.'}\t{escaped(self.help)}"


FILES = (Candidate(":files"),)
COMMANDS = (Candidate(":commands"),)


def beginning(incomplete: str, found: Iterable[Candidate]) -> list[Candidate]:
    """Those that begin as the word does."""
    return [candidate for candidate in found if candidate.word.startswith(incomplete)]
