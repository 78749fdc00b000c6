"""The module of jeepney that makes and reads D-Bus messages, without all else that ``import jeepney`` loads.

jeepney's ``__init__`` loads socket and much more, which together cost as much as the rest of a connection. So its one
module is loaded as part of a package of another name. jeepney itself stays as it is for other users in this process.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

_NAME = "rctl_jeepney"


class _Letters(ModuleType):
    """What jeepney takes from string. That module also compiles the expression of its templates."""

    ascii_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = "0123456789"


@cache
def messages() -> Any:
    """A module with ``Parser``, ``Message``, ``Header`` and the enums of a header."""
    from importlib.machinery import PathFinder

    found = PathFinder.find_spec("jeepney")
    if found is None or found.submodule_search_locations is None:
        return import_module("jeepney.low_level")  # in no folder: it may be in an archive
    package = ModuleType(_NAME)
    package.__path__ = found.submodule_search_locations
    sys.modules[_NAME] = package
    before = sys.modules.setdefault("string", _Letters("string"))
    try:
        return import_module(f"{_NAME}.low_level")
    finally:
        if isinstance(before, _Letters):
            del sys.modules["string"]


def call(
    serial: int, path: str, interface: str, to: str, method: str, signature: str, arguments: tuple[Any, ...]
) -> bytes:
    """The bytes of a method call. ``signature``: of its arguments; empty: it has none."""
    dbus = messages()
    name = dbus.HeaderFields
    fields = {name.path: path, name.destination: to, name.interface: interface, name.member: method}
    if signature:
        fields[name.signature] = signature
    header = dbus.Header(dbus.Endianness.little, dbus.MessageType.method_call, 0, 1, -1, -1, fields)
    sent: bytes = dbus.Message(header, arguments).serialise(serial)
    return sent
