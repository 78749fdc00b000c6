"""Loads msgspec at less cost, before a verb needs it.

msgspec takes two names from typing_extensions if that is installed, else the same ones from typing. typing_extensions
loads inspect and much else, which together cost more than msgspec itself. msgspec loads uuid, too. That asks platform
for the name of the system, nothing more, and platform compiles many regular expressions for other systems.
"""

from __future__ import annotations

import os
import sys
from typing import Any


class _Platform:
    """What uuid takes from platform."""

    @staticmethod
    def system() -> str:
        return os.uname().sysname


def load_msgspec() -> None:
    """Load msgspec with the names of typing. Does nothing if that or what it would load is there already."""
    modules: dict[str, Any] = sys.modules
    instead = {"typing_extensions": None, "platform": _Platform}  # None: its import fails
    if "msgspec" in modules or not modules.keys().isdisjoint(instead):
        return
    modules |= instead
    try:
        import msgspec  # noqa: F401
    finally:
        for name in instead:
            del modules[name]
