"""Loads msgspec at less cost, before a verb needs it. Its own imports cost three times as much as msgspec itself.

- msgspec knows dates, decimals and UUIDs by their classes. No record of rctl has any. The modules ``decimal`` and
  ``uuid`` are costly, and ``datetime`` is there twice, in Python and in C: the one in C is enough, as in Python 3.12.
- It loads all its formats and ``inspect``. rctl needs JSON; the others are loaded when one of their names is used.
- It takes two names from typing_extensions if that is installed, else the same ones from typing. typing_extensions
  loads inspect and much else.
- It loads textwrap for the schema alone. textwrap compiles long regular expressions.
- It makes a ForwardRef, to see whether it may. The first one in a process makes Python set up its syntax trees.
"""

from __future__ import annotations

import sys
import typing
from contextlib import suppress
from types import ModuleType
from typing import Any

_LATER = ("textwrap", "msgspec.inspect", "msgspec.msgpack", "msgspec.toml", "msgspec.yaml")


class _Unused(ModuleType):
    """In the place of decimal and uuid, with what msgspec takes from them."""

    Decimal = type("Decimal", (), {})
    UUID = type("UUID", (), {})
    SafeUUID = type("SafeUUID", (), {"unknown": None})


class _Later(ModuleType):
    """A module that is loaded when one of its names is used."""

    def __getattr__(self, name: str) -> Any:
        from importlib import import_module

        return getattr(import_module(self.__name__), name)


def load_msgspec() -> None:
    """Load msgspec without the above. Does nothing if it, or what it would load, is there already."""
    import _datetime  # type: ignore[import-not-found]  # the C part of datetime

    modules: dict[str, Any] = sys.modules
    instead = {
        "datetime": _datetime,
        "decimal": _Unused("decimal"),
        "uuid": _Unused("uuid"),
        "typing_extensions": None,  # its import fails
        **{name: _Later(name) for name in _LATER},
    }
    if "msgspec" in modules or not modules.keys().isdisjoint(instead):
        return
    names, forward_ref = vars(typing), typing.ForwardRef
    modules |= instead
    names["ForwardRef"] = lambda *_, **__: None
    try:
        with suppress(AttributeError, ImportError):  # another version takes more: the verb loads it as usual
            import msgspec  # noqa: F401
    finally:
        names["ForwardRef"] = forward_ref
        for name in instead:
            del modules[name]
