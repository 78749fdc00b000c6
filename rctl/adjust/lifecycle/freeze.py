"""Freezing is a request: the kernel stops one task after the other. ``cgroup.events`` reports when all have stopped.

https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files (``cgroup.freeze``)
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...controllers import core
from ...errors import BusyError, GoneError, NotFoundError, UsageError
from ..account import Account
from ..caveats.caveats import caveats
from ..steps import Set, Step


def wait_until_frozen(cgroup: Cgroup, deadline: float) -> None:
    """Wait until all tasks of a cgroup are frozen. ``deadline``: seconds. Raises BusyError after it."""
    end, pause = time.monotonic() + deadline, 0.001
    while not core.parse({core.EVENTS: cgroup.read(core.EVENTS)}).frozen:
        if time.monotonic() > end:
            raise BusyError(
                f"{cgroup.path}: not all of it is frozen after {deadline:g} s: some task waits in the kernel. "
                "See rctl ps, or raise --deadline"
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def check_self(tree: Tree, names: Iterable[str]) -> None:
    """Raise UsageError if one of the VEs to freeze has rctl itself, which would stop with its locks, or process 1.

    Without process 1, systemd on most hosts, nothing starts, ends or logs in, and only a reset of the host helps.
    """
    paths = {tree.path(name): name for name in names}
    if not paths:
        return
    own, first = tree.cgroup_of("self"), None
    with suppress(OSError):  # /proc may hide it (hidepid) from users, who may not freeze it either
        first = tree.cgroup_of(1)
    for path, name in paths.items():
        if _lies_in(own, path):
            raise UsageError(f"{name}: this rctl runs in it, and would stop, too. Run it from outside")
        if _lies_in(first, path):
            raise UsageError(f"{name}: process 1 runs in it, and without that the whole host stops. Freeze others")


def _lies_in(path: str | None, above: str) -> bool:
    return path is not None and (path == above or path.startswith(above.rstrip("/") + "/"))


def stays_frozen(tree: Tree, account: Account) -> Account:
    """The account of a thaw, with a note for each unchanged VE that a cgroup above keeps frozen."""
    notes: list[str] = []
    for path in [outcome.path for outcome in account.outcomes if not outcome.steps]:
        with suppress(NotFoundError, GoneError), tree.walk(path) as ve:
            if _frozen(ve):
                notes += caveats(tree, [Set(path, core.FREEZE.name, "0", "0")], {path: ve})
    return msgspec.structs.replace(account, notes=(*account.notes, *notes)) if notes else account


def check_enter(ve: Cgroup, steps: Iterable[Step]) -> None:
    """Raise BusyError if the VE is frozen after these steps: a process that enters it stops, and takes few signals."""
    planned = next((s.new for s in steps if isinstance(s, Set) and (s.path, s.file) == (ve.path, core.FREEZE.name)), "")
    if (planned or (ve.read_if_there(core.FREEZE.name) or "").strip()) == "1":
        raise BusyError(f"{ve.path}: is frozen, so a process that comes into it stops. Use --thaw, or rctl thaw first")
    if ve.path != "/" and _frozen(ve):
        with ve.above() as parent:
            if _frozen(parent):
                raise BusyError(
                    f"{ve.path}: a cgroup above it is frozen, so a process that comes into it stops. "
                    "Thaw that first: see cgroup.freeze there"
                )


def _frozen(cgroup: Cgroup) -> bool:
    """True if it, or a cgroup above it, is frozen. The root cgroup has no such file."""
    return core.parse({core.EVENTS: cgroup.read_if_there(core.EVENTS) or ""}).frozen
