"""rctl: set any limit on any VE, live and safely.

    import rctl

    with rctl.open("web1") as ve:
        ve.memory.max = "2G"                # one limit, one transaction
        with ve.adjust() as a:              # many limits, one transaction
            a.memory.max = "3G"
            a.cpu.max = 1.5
        print(ve.memory.current, ve.sample().pressure)

Importing this does nothing but name things; each is loaded when first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .adjust.account import Account
    from .adjust.engine import Options
    from .api import VE, open, transaction  # noqa: A004 (as in os.open: always used as rctl.open)
    from .errors import RctlError
    from .limits import Limits
    from .sample import Sample
    from .units import MAX
    from .version import __version__

__all__ = ["MAX", "VE", "Account", "Limits", "Options", "RctlError", "Sample", "__version__", "open", "transaction"]

_HOMES = {
    "Account": ".adjust.account",
    "Options": ".adjust.engine",
    "VE": ".api",
    "open": ".api",
    "transaction": ".api",
    "RctlError": ".errors",
    "Limits": ".limits",
    "Sample": ".sample",
    "MAX": ".units",
    "__version__": ".version",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rctl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name], __name__), name)
