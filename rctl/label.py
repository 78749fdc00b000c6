"""Checks labels: ``KEY=VALUE`` on a VE, for people and patterns. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import UsageError
from .late_regex import regex

KEY = regex(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,62}", re.ASCII)
LONGEST = 256
"""Most characters of a value."""


MOST = 100
"""Most labels of a VE. The kernel stores at most 128 attributes and 128 KiB, and refuses only after limits are set."""


def check_number(labels: Mapping[str, str]) -> None:
    """Raise UsageError for more labels than a VE may have."""
    if len(labels) > MOST:
        raise UsageError(f"labels: {len(labels)} are too many: at most {MOST} for each VE. Remove some")


def check(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The labels, if their number, keys and values are allowed. Raises UsageError."""
    check_number(labels)
    for key, value in labels.items():
        check_one(key, value)
    return labels


def check_one(key: str, value: str) -> None:
    """Raise UsageError for a label that is not allowed."""
    if not KEY.fullmatch(key):
        raise UsageError(f"labels: {key[:64]!r}: use letters, digits and _./-, at most 63. Write it like env=prod")
    if not value.isprintable() or len(value) > LONGEST:
        raise UsageError(f"labels: {key}: {value[:64]!r} is not printable, or longer than {LONGEST} characters")
