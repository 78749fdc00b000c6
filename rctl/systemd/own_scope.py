"""Gives a process a scope of its own: systemd.scope(5). It stays when the unit or the session that started it ends."""

from __future__ import annotations

import os

from .unit import Unit


def give(pid: int, name: str, about: str) -> None:
    """Move the process into a new scope, which ends with its last process.

    Root's processes go to the system's manager, those of others to their own. ``name``: of the scope, without
    ``.scope``. ``about``: its description. Raises NotAvailableError if the manager does not answer, BusError if it
    refuses.
    """
    scope = Unit(f"{name}.scope", os.geteuid() or None)
    properties = [
        ("Description", ("s", about)),
        ("PIDs", ("au", [pid])),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    scope.bus.job("StartTransientUnit", "ssa(sv)a(sa(sv))", scope.name, "fail", properties, [])
