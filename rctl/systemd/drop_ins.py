"""The drop-ins in which a manager stores the properties that were set in a running unit. See systemd.unit(5).

They are looked up in their folders. The manager's own list (``DropInPaths``) is that of its last reload.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from .properties import on_bus
from .unit import Unit

STORED, RUNTIME = "stored", "runtime"
"""For good, and until the next boot. A transient unit ends with the boot, so all that it has is run-time."""


def where(unit: Unit, name: str) -> str:
    """Where the property is stored: ``STORED``, ``RUNTIME``, or empty: nowhere. For good comes before run-time."""
    there = {place for place, folder in folders(unit) for file in files(name) if os.path.exists(f"{folder}/{file}")}
    return STORED if STORED in there else RUNTIME if there else ""


def is_transient(unit: Unit) -> bool:
    """True for a unit without a file of its own: a scope, and what systemd-run starts. It ends with the boot."""
    return any(os.path.exists(folder.removesuffix(".d")) for _, folder in folders(unit)[2:])


def remove(unit: Unit, name: str, keep: str = "") -> None:
    """Remove the drop-ins of the property; ``keep``: except those stored there. What the manager holds does not change.

    A transient unit has one place only, so ``keep`` keeps that. The folder goes with the last drop-in.
    """
    for place, folder in folders(unit):
        if keep and (place == keep or "/transient/" in folder):
            continue
        for file in files(name):
            with suppress(FileNotFoundError):
                os.unlink(f"{folder}/{file}")
        with suppress(OSError):  # not empty, or not there
            os.rmdir(folder)


def others(unit: Unit, paths: Iterable[str]) -> list[str]:
    """Of these drop-ins (the manager's list), those that somebody wrote by another way and that still exist."""
    own = tuple(f"{folder}/" for _, folder in folders(unit))
    return [path for path in paths if not path.startswith(own) and os.path.exists(path)]


def files(name: str) -> Iterator[str]:
    """The names of a property's drop-in. systemd uses the documented name for some, the one on D-Bus for others."""
    yield from dict.fromkeys((f"50-{name}.conf", f"50-{on_bus(name)}.conf"))


def folders(unit: Unit) -> list[tuple[str, str]]:
    """The folders of a unit's drop-ins that its manager writes, and how long they last."""
    if unit.uid is None:
        stored, run, kind = "/etc/systemd", "/run/systemd", "system"
    else:
        stored, run, kind = f"{_home(unit.uid)}/.config/systemd", f"/run/user/{unit.uid}/systemd", "user"
    return [
        (STORED, f"{stored}/{kind}.control/{unit.name}.d"),
        (RUNTIME, f"{run}/{kind}.control/{unit.name}.d"),
        (RUNTIME, f"{run}/transient/{unit.name}.d"),
    ]


def _home(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/nonexistent"  # a user without an entry has no manager of his own
