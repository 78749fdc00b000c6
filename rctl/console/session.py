"""The Session of the command line: its name in the history, progress on the terminal, notes on standard error."""

from __future__ import annotations

from ..api.session import Session
from .flags import command_line
from .output import progress, warn


def session() -> Session:
    """A new Session; use it in a ``with`` block."""
    return Session(command=command_line(), progress=progress, tell=warn)
