"""A unit of a systemd, and the connection to its manager."""

import os
from functools import cache, lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Self

import msgspec

from ..late_regex import regex

if TYPE_CHECKING:
    from .bus import Bus

_USER = regex(r".*/user@([0-9]+)\.service/")


class Unit(msgspec.Struct, frozen=True):
    """A unit. ``name``: as systemd has it (``nginx.service``). ``uid``: its manager's user; ``None``: the system's."""

    name: str
    uid: int | None

    @classmethod
    @lru_cache(1 << 12)
    def at(cls, path: str) -> Self:
        """The unit whose cgroup this is; ``path`` must be that of a unit of the system's or of a user's manager."""
        user = _USER.match(path) if "/user@" in path else None
        return cls(path.rpartition("/")[2].removeprefix("_"), int(user[1]) if user else None)

    @property
    def kind(self) -> str:
        """The D-Bus interface of its own properties."""
        return self.name.rpartition(".")[2].capitalize()

    @property
    def bus(self) -> "Bus":
        """The connection to its manager; open until this process ends. Raises NotAvailableError if it is silent."""
        return _bus(self.uid, os.getpid())

    def reach(self) -> None:
        """Connect to its manager, if there is no connection. Raises NotAvailableError if that cannot be reached."""
        self.bus.reach()

    def version(self) -> int:
        """Its manager's version; 0 if that is no number. Raises NotAvailableError if the manager is silent."""
        return _version(self.uid)


@cache
def _bus(uid: int | None, _pid: int) -> "Bus":
    from .bus import Bus

    return Bus(uid)


@cache
def _version(uid: int | None) -> int:
    [(_, text)] = _bus(uid, os.getpid()).call(
        "Get", "ss", "org.freedesktop.systemd1.Manager", "Version", interface="org.freedesktop.DBus.Properties"
    )
    return int("".join(takewhile(str.isdecimal, text)) or 0)
