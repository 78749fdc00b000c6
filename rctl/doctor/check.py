"""One finding of the doctor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One result. ``state``: ``ok``; ``info``: good to know; ``warn``: something works less well; ``fail``: limits
    cannot be set.

    ``remedy``: the fix; empty if nothing needs one.
    """

    name: str
    state: Literal["ok", "info", "warn", "fail"]
    found: str
    remedy: str = ""


def usable(checks: Iterable[Check]) -> bool:
    """True if limits can be set on this host."""
    return not any(check.state == "fail" for check in checks)
