"""The names of units, and other words for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from . import users
from .owners import Owner, readable


def unit_name(owner: Owner, taken: Callable[[str], bool]) -> str:
    """The name of a unit: with its user, unless it is the system's. The path of what is no unit, or another systemd's.

    ``taken``: returns True for the name of a VE of rctl's own.
    """
    if not owner.is_unit or not owner.unit or owner.manager.kind == "other":
        return owner.path
    if owner.manager.kind == "user":
        return f"unit:{users.by_uid(owner.manager.uid).name}/{owner.unit}"
    if (uid := users.of_slice(owner.unit)) is not None:
        return f"user:{users.by_uid(uid).name}"
    return f"unit:{owner.unit}" if taken(owner.unit) else owner.unit


def words_of_unit(owner: Owner) -> Sequence[str]:
    """The unit in full comes first. The caller's own units need no user before their names."""
    forms = dict.fromkeys((owner.unit, readable(owner.unit), owner.unit.removesuffix(".service")))
    uid = owner.manager.uid if owner.manager.kind == "user" else users.of_slice(owner.unit)
    if owner.manager.kind != "user":
        return [*forms, *(f"unit:{form}" for form in forms), *([f"user:{uid}"] if uid is not None else ())]
    names = users.by_uid(owner.manager.uid).name, str(uid)
    return [*(f"unit:{name}/{form}" for name in names for form in forms), *(forms if uid == os.getuid() else ())]
