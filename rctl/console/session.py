"""The Session of a command line: its name in the history, its progress on the terminal, its notes on standard error."""

from __future__ import annotations

from ..api.session import Session
from .flags import command_line
from .output import progress, warn


def session() -> Session:
    """A new one, to be used in a ``with`` block."""
    return Session(command=command_line(), progress=progress, tell=warn)
