"""rctl: set any limit of any VE while it runs, safely.

    import rctl

    with rctl.session() as s:               # every operation of the command line
        s.adjust({"web*": {"memory.max": "2G"}})
    with rctl.open("web1") as ve:           # one VE
        ve.memory.max = "2G"                # one limit, one transaction
        with ve.adjust() as a:              # many limits, one transaction
            a.memory.max = "3G"
            a.cpu.max = 1.5
        print(ve.memory.current, ve.sample().pressure)

``import rctl`` loads no other module; each name is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .adjust.account import Account
    from .adjust.engine import Options
    from .api.session import Session, open, session  # noqa: A004 (always used as rctl.open, like os.open)
    from .api.ve import VE, transaction
    from .errors import RctlError
    from .limits import Limits
    from .sample import Sample
    from .units import MAX
    from .version import __version__

__all__ = [
    "MAX", "VE", "Account", "Limits", "Options", "RctlError", "Sample", "Session", "__version__", "open", "session",
    "transaction",
]  # fmt: skip

_HOMES = {
    "Account": ".adjust.account",
    "Options": ".adjust.engine",
    "Session": ".api.session",
    "session": ".api.session",
    "VE": ".api.ve",
    "open": ".api.session",
    "transaction": ".api.ve",
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
