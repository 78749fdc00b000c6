"""The drop-ins in which a manager stores the properties that were set in a running unit. See systemd.unit(5).

They are looked up in their folders. The manager's own list (``DropInPaths``) is that of its last reload.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import Self

import msgspec

from ..bounded import few
from .properties import Value, lines, on_bus
from .unit import Unit

STORED, RUNTIME = "stored", "runtime"
"""For good, and until the next boot. A transient unit ends with the boot, so all that it has is run-time."""
PropertyDropIns = Sequence[tuple[str, str]]
"""How long each drop-in of a property lasts, and its path. For good comes before run-time."""


class DropIns(msgspec.Struct, frozen=True):
    """The drop-ins of a unit that its manager wrote, by their name: how long each lasts, and its folder.

    ``transient``: the unit has no file of its own, as a scope, and what systemd-run starts. It ends with the boot.
    """

    files: Mapping[str, Sequence[tuple[str, str]]] = {}
    transient: bool = False

    @classmethod
    def of(cls, unit: Unit) -> Self:
        """Those that are there now."""
        those, found = folders(unit), dict[str, list[tuple[str, str]]]()
        for each in those:
            for name in listed(each[1]):
                found.setdefault(name, []).append(each)
        return cls(found, os.access(those[-1][1].removesuffix(".d"), os.F_OK))

    def of_property(self, name: str) -> PropertyDropIns:
        """How long each drop-in of the property lasts, and its path. For good comes before run-time."""
        found = [
            (place, f"{folder}/{file}")
            for file in files(name)
            if file in self.files
            for place, folder in self.files[file]
        ]
        return found if len(found) < 2 else sorted(found, key=lambda one: one[0] != STORED)

    def where(self, name: str) -> str:
        """Where the property is stored, as ``place_of``."""
        return place_of(self.of_property(name))


def place_of(found: PropertyDropIns) -> str:
    """Where a property with these drop-ins is stored: ``STORED``, ``RUNTIME``, or empty: nowhere."""
    return found[0][0] if found else ""


_LONGEST = 4096
"""Bytes of the largest drop-in that is read; systemd writes fewer for a number."""


def last_line(path: str) -> str:
    """The last line of a drop-in; empty for one that cannot be read."""
    data = few(path, _LONGEST)
    return data.decode(errors="replace").rstrip("\n").rpartition("\n")[2] if data else ""


def remove(unit: Unit, keep: Mapping[str, str]) -> None:
    """Remove the drop-ins of the properties in ``keep``, except those stored where that says. The manager's values
    stay.

    A transient unit has one place only, so what is kept at any place is kept there. A folder goes with its last
    drop-in.
    """
    for place, folder in folders(unit):
        if not os.access(folder, os.F_OK):
            continue  # nearly always so, but for one
        only = is_transient(folder)
        gone = [name for name, where in keep.items() if where != place and not (where and only)]
        there = listed(folder) if gone else ()
        if found := [file for name in gone for file in files(name) if file in there]:
            _unlink(folder, found, unit.uid)


def _unlink(folder: str, found: Sequence[str], uid: int | None) -> None:
    """Remove files from a folder, and the folder with its last one. ``uid``: of the user whose manager made it.

    A user may make a link of any part of the path, at any time. So the opened folders are used instead of the path, and
    nothing is removed where a link leads to the folder of somebody else: the manager has stored nothing there.
    """
    above, name = os.path.split(folder)
    with suppress(FileNotFoundError, NotADirectoryError), _opened(above) as parent, _opened(name, parent) as fd:
        if uid is not None and (os.fstat(parent).st_uid, os.fstat(fd).st_uid) != (uid, uid):
            return
        for file in found:
            with suppress(FileNotFoundError):
                os.unlink(file, dir_fd=fd)
        with suppress(OSError):  # not empty
            os.rmdir(name, dir_fd=parent)


@contextmanager
def _opened(folder: str, above: int | None = None) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        yield fd
    finally:
        os.close(fd)


def others(unit: Unit, paths: Iterable[str]) -> list[str]:
    """Of these drop-ins (the manager's list), those that somebody wrote by another way and that still exist."""
    own = tuple(f"{folder}/" for _, folder in folders(unit))
    return [path for path in paths if not path.startswith(own) and os.path.exists(path)]


_COARSE = 1_000_000_000
"""Nanoseconds by which a file's time may be before that of its writing, at most."""


def not_stored(unit: Unit, values: Mapping[str, Value], known: Iterable[str], since: int) -> list[str]:
    """Of these properties, those that the manager could not store for good since the time ``since`` (nanoseconds).

    It returns no error for them: see unit_write_setting() of systemd. ``known``: the drop-ins that it has read or made.
    Those of transient units lie in /run, where it can always write.
    """
    (_, stored_in), _, (_, made_in) = folders(unit)
    last = f"{stored_in}/", f"{made_in}/"
    wanted = {file: name for name in values for file in files(name)}
    stored = {
        name
        for path in known
        if path.startswith(last) and (name := wanted.get(path.rpartition("/")[2]))
        if path.startswith(last[1]) or _is_new(path, since) or last_line(path) in lines(name, values[name])
    }
    return [name for name in values if name not in stored]


def _is_new(path: str, since: int) -> bool:
    try:
        return os.stat(path).st_mtime_ns > since - _COARSE
    except PermissionError:
        return True  # the user's own matter
    except OSError:
        return False


@cache
def files(name: str) -> tuple[str, ...]:
    """The names of a property's drop-in. systemd uses the documented name for some, the one on D-Bus for others."""
    return tuple(dict.fromkeys((f"50-{name}.conf", f"50-{on_bus(name)}.conf")))


@lru_cache(1 << 10)
def folders(unit: Unit) -> Sequence[tuple[str, str]]:
    """The folders of a unit's drop-ins that its manager writes, and how long they last. The last is of transient units.

    A change asks for them four times.
    """
    uid = unit.uid
    stored, kind = ("/etc/systemd", "system") if uid is None else (f"{_home(uid)}/.config/systemd", "user")
    return (
        (STORED, f"{stored}/{kind}.control/{unit.name}.d"),
        (RUNTIME, f"{_run(uid)}/{kind}.control/{unit.name}.d"),
        (RUNTIME, f"{transient(uid)}/{unit.name}.d"),
    )


def transient(uid: int | None) -> str:
    """The folder of a manager's transient units. ``uid``: the manager's user; ``None``: the system's."""
    return f"{_run(uid)}/transient"


def is_transient(path: str) -> bool:
    """True if the folder or drop-in is one of a transient unit."""
    return "/transient/" in path


def _run(uid: int | None) -> str:
    return "/run/systemd" if uid is None else f"/run/user/{uid}/systemd"


def listed(folder: str) -> Sequence[str]:
    """The files in a folder. Most units lack one or the other, and to ask for that costs less than an error."""
    try:
        return os.listdir(folder) if os.access(folder, os.F_OK) else ()
    except OSError:
        return ()


def _home(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/nonexistent"  # a user without an entry has no manager of his own
