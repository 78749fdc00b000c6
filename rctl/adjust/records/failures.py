"""Limits that could not be written: a line each beside the history, for who counts them.

The adjustment itself was put back and leaves no trace otherwise; that it was tried, and why it failed, is worth
knowing.
"""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec

from ...errors import RctlError, told
from ..state_folder import State
from ..steps import Set, Step
from .history import append

VERSION = 1
"""Of a line's form. Lines without one are of version 1, too."""


class Failure(msgspec.Struct, frozen=True):
    """One limit that could not be written. ``time``: seconds since 1970; ``error``: why, as it was told."""

    time: float
    path: str
    file: str
    new: str
    error: str
    version: int = VERSION


class NewerFailureError(RctlError):
    """A line of a version that this rctl does not know."""


class _Versioned(msgspec.Struct, frozen=True):
    version: int = 1


_LINE, _VERSIONED = msgspec.json.Decoder(Failure), msgspec.json.Decoder(_Versioned)


def decode(line: bytes) -> Failure:
    """A failure from its line. Raises NewerFailureError, ValueError for what is no such line."""
    if (version := _VERSIONED.decode(line).version) > VERSION:
        raise NewerFailureError(f"is of a newer rctl (version {version}, this rctl knows {VERSION})")
    return _LINE.decode(line)


def note(state: State, step: Step, error: BaseException) -> None:
    """Remember a step that failed. A disk that is full does not make matters worse."""
    if isinstance(step, Set):
        failure = Failure(time.time(), step.path, step.file, step.new, told(error))
        with suppress(OSError, RctlError):
            if state.folder_if_there(state.keep) is None:
                return
            append(state, state.failures, msgspec.json.encode(failure))
