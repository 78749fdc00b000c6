"""Loads msgspec at less cost, before a verb needs it.

- msgspec takes two names from typing_extensions if that is installed, else the same ones from typing. typing_extensions
  loads inspect and much else, which together cost more than msgspec itself.
- It loads uuid, which asks platform for the name of the system, nothing more. platform compiles many regular
  expressions for other systems.
- It loads textwrap for the schema alone. textwrap compiles long regular expressions.
- It makes a ForwardRef, to see whether it may. The first one in a process makes Python set up its syntax trees.
"""

from __future__ import annotations

import os
import sys
import typing
from types import ModuleType
from typing import Any


class _Platform:
    """What uuid takes from platform."""

    @staticmethod
    def system() -> str:
        return os.uname().sysname


class _Later(ModuleType):
    """A module that is loaded when one of its names is used."""

    def __getattr__(self, name: str) -> Any:
        from importlib import import_module

        return getattr(import_module(self.__name__), name)


def load_msgspec() -> None:
    """Load msgspec without the above. Does nothing if it, or what it would load, is there already."""
    modules: dict[str, Any] = sys.modules
    instead = {"typing_extensions": None, "platform": _Platform, "textwrap": _Later("textwrap")}  # None: it fails
    if "msgspec" in modules or not modules.keys().isdisjoint(instead):
        return
    names, forward_ref = vars(typing), typing.ForwardRef
    modules |= instead
    names["ForwardRef"] = lambda *_, **__: None
    try:
        import msgspec  # noqa: F401
    finally:
        names["ForwardRef"] = forward_ref
        for name in instead:
            del modules[name]
