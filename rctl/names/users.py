"""Users by number and name, as the host's C library knows them. Nothing is an error: an unknown user has no name."""

from __future__ import annotations

from functools import cache

import msgspec

from ..late_regex import regex

_LONGEST = 10
"""A number of more digits is no user's."""
_BELOW = regex(r"/user\.slice/user-([0-9]{1,10})\.slice(?:/|$)")


class User(msgspec.Struct, frozen=True):
    """``name`` is the number as text if the user has no name. ``home``: empty if there is none."""

    uid: int
    name: str
    home: str = ""


@cache
def by_uid(uid: int) -> User:
    """The user with this number."""
    import pwd

    try:
        found = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return User(uid, str(uid))
    return User(uid, found.pw_name if found.pw_name.isprintable() else str(uid), found.pw_dir)


def by_word(word: str) -> User | None:
    """The user with this name or number; ``None`` if there is no such name."""
    import pwd

    if word.isascii() and word.isdecimal() and len(word) <= _LONGEST:
        return by_uid(int(word))
    try:
        return by_uid(pwd.getpwnam(word).pw_uid)
    except (KeyError, ValueError):
        return None


def home(uid: int) -> str:
    """The home folder of the user with this number; empty if there is none."""
    return by_uid(uid).home


def of_path(path: str) -> int:
    """The number of the user in whose slice the cgroup lies; 0, which is root, if it lies in none."""
    found = _BELOW.match(path)
    return int(found[1]) if found else 0


def manager_of(uid: int) -> str:
    """The cgroup of the manager of the user with this number."""
    return f"/user.slice/user-{uid}.slice/user@{uid}.service"


def of_slice(unit: str) -> int | None:
    """The number of the user whose slice this unit is; ``None`` for any other unit."""
    return _number(unit, "user-", ".slice")


def of_manager(unit: str) -> int | None:
    """The number of the user whose manager this unit is; ``None`` for any other unit."""
    return _number(unit, "user@", ".service")


def _number(unit: str, before: str, after: str) -> int | None:
    if not (unit.startswith(before) and unit.endswith(after)):
        return None
    digits = unit[len(before) : -len(after)]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST else None
