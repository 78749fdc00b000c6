"""The modules of jeepney that make and read D-Bus messages, without all else that ``import jeepney`` loads.

jeepney's ``__init__`` loads socket and much more, which together cost as much as the rest of a connection. So these
modules are loaded as a package of another name. jeepney itself stays as it is for other users in this process.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

_NAME = "rctl_jeepney"


@cache
def messages() -> Any:
    """A module with ``Parser``, ``DBusAddress``, ``HeaderFields``, ``MessageType`` and ``new_method_call``."""
    from importlib.machinery import PathFinder

    found = PathFinder.find_spec("jeepney")
    if found is None or found.submodule_search_locations is None:
        return import_module("jeepney")  # in no folder: it may be in an archive
    package = ModuleType(_NAME)
    package.__path__ = found.submodule_search_locations
    sys.modules[_NAME] = package
    return import_module(f"{_NAME}.wrappers")  # with the names of low_level
