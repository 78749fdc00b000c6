"""The units of rctl's own VEs: one transient service for each, without a process of its own.

It is a service of the type ``oneshot`` that stays active after its command, ``/bin/true``, so it needs no process to
stay, and survives daemon-reload and daemon-reexec. A scope would go with its last process. The unit is delegated, with
no controllers: systemd enables those that its properties need. See systemd.service(5), org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..errors import BusyError, NotFoundError, RctlError
from .bus import BusError, Property
from .unit import Unit

_NO_LIMIT = (1 << 64) - 1
_COMMAND = ("/bin/true", ["true"], True)
"""Its program, its words, and that its failure counts as success: it may be missing on a host."""
_PROPERTIES: Sequence[Property] = (
    ("Type", ("s", "oneshot")),
    ("ExecStart", ("a(sasb)", [_COMMAND])),
    ("RemainAfterExit", ("b", True)),
    ("Slice", ("s", "-.slice")),  # directly below the root: each level costs each context switch
    ("DelegateControllers", ("as", [])),
    ("CollectMode", ("s", "inactive-or-failed")),
    ("IgnoreOnIsolate", ("b", True)),
    ("OOMPolicy", ("s", "continue")),
    ("TasksMax", ("t", _NO_LIMIT)),
)
_MAKES_CGROUP: Property = ("MemoryAccounting", ("b", True))
"""systemd makes the cgroup of a unit without processes when a property is set that needs it. This is the default."""


def start(unit: Unit, about: str) -> None:
    """Start the unit of a VE whose cgroup does not exist; then it does. A unit that a crash has left is stopped first.

    ``about``: its description. Raises BusyError if another unit has the name, NotAvailableError without an answer.
    """
    properties = [*_PROPERTIES, ("Description", ("s", about))]
    wanted: tuple[Any, ...] = unit.name, "fail", properties, []
    try:
        unit.bus.job("StartTransientUnit", "ssa(sv)a(sa(sv))", *wanted)
    except BusError as error:
        if not error.name.endswith(".UnitExists"):
            raise
        _check_left_over(unit)
        stop(unit)
        unit.bus.job("StartTransientUnit", "ssa(sv)a(sa(sv))", *wanted)
    if (state := _settled(unit)) != "active":
        raise RctlError(f"{unit.name}: systemd has not started it, it is {state}. See journalctl -u {unit.name}")
    unit.bus.set(unit.name, [_MAKES_CGROUP], runtime=True)


def stop(unit: Unit) -> None:
    """Stop the unit of a VE, if there is one; systemd ends its processes, and removes its cgroup."""
    with suppress(NotFoundError):
        unit.bus.job("StopUnit", "ss", unit.name, "replace")
        _settled(unit)


def attach(unit: Unit, pid: int) -> None:
    """Move a process into the cgroup of a VE's unit. Raises NotAvailableError, BusError."""
    unit.bus.call("AttachProcessesToUnit", "ssau", unit.name, "", [pid])


def _check_left_over(unit: Unit) -> None:
    """Raise BusyError if the unit is not one that a crash has left of a VE."""
    found = unit.bus.get(unit.name, "Unit", ("Transient", "FragmentPath"))
    if not found.get("Transient"):
        place = found.get("FragmentPath") or "it is loaded"
        raise BusyError(f"{unit.name}: is another unit of systemd ({place}). Choose another name for the VE")


def _settled(unit: Unit) -> str:
    """The state of a unit once it has no job."""
    until = time.monotonic() + 25.0
    while True:
        found = unit.bus.get(unit.name, "Unit", ("ActiveState", "Job"))
        if not found.get("Job", (0,))[0] and not found.get("ActiveState", "").endswith("ing"):
            return str(found.get("ActiveState", "inactive"))
        if time.monotonic() > until:
            raise BusyError(f"{unit.name}: systemd is still busy with it. See systemctl list-jobs")
        time.sleep(0.01)
