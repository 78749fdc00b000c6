"""Limits that could not be written: one line for each beside the history, for the exporter's counts.

The failed adjustment was put back and leaves no other trace; this file keeps that it was tried, and why it failed.
"""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec

from ...errors import RctlError, told
from ..state_folder import State
from ..steps import Set, Step
from .history import append
from .record_format import decoded

VERSION = 1
"""Version of a line's form. A line without a version is of version 1."""


class Failure(msgspec.Struct, frozen=True):
    """One limit that could not be written. ``time``: seconds since 1970. ``error``: the message."""

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


def decode(line: bytes) -> Failure:
    """A failure from its line. Raises NewerFailureError, ValueError for any other line."""
    if (version := decoded(_Versioned, line).version) > VERSION:
        raise NewerFailureError(f"is of a newer rctl (version {version}, this rctl knows {VERSION})")
    return decoded(Failure, line)


def note(state: State, step: Step, error: BaseException) -> None:
    """Store a step that failed. A failure to store it, such as a full disk, is ignored."""
    if isinstance(step, Set):
        failure = Failure(time.time(), step.path, step.file, step.new, told(error))
        with suppress(OSError, RctlError):
            if state.folder_if_there(state.keep) is None:
                return
            append(state, state.failures, msgspec.json.encode(failure))
