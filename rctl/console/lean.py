"""Loads msgspec at less cost, before a verb needs it.

msgspec takes two names from typing_extensions if that is installed, else the same ones from typing. typing_extensions
loads inspect and much else, which together cost more than msgspec itself.
"""

from __future__ import annotations

import sys
from typing import Any


def load_msgspec() -> None:
    """Load msgspec with the names of typing. Does nothing if either is loaded already."""
    modules: dict[str, Any] = sys.modules
    if "msgspec" in modules or "typing_extensions" in modules:
        return
    modules["typing_extensions"] = None  # its import fails from now on
    try:
        import msgspec  # noqa: F401
    finally:
        del modules["typing_extensions"]
