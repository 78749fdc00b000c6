"""Every figure of every VE for Prometheus, at little cost.

``Collector`` works in any prometheus_client registry; ``rctl exporter serve`` is rctl's own server.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .collector import Collector
    from .settings import Settings

__all__ = ["Collector", "Settings"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in __all__:
        return getattr(import_module(f".{name.lower()}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
