"""The cgroup of one of rctl's own VEs: made, entered and removed, by rctl itself or through the manager of its unit.

A unit is stopped after its cgroup was removed: rmdir(2) fails if a process came into it meanwhile, while systemd would
end that process. If a crash comes in between, the unit is left without a cgroup; ``tidy`` stops it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from ...cgroupfs import ve_cgroups
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree, remove_soon
from ...controllers.core import PROCS
from ...errors import BusyError, KernelError, NotAvailableError, RctlError, UsageError
from ...systemd.unit import Unit
from .. import owner
from ..steps import Make, Remove, Step

_LONGEST = 255
"""Characters of a unit's name, and of a cgroup's."""


def unit_of(path: str) -> Unit | None:
    """The unit of the VE whose cgroup is ``path``; ``None`` if the VE is no unit."""
    return Unit.at(path) if owner.applies() and ve_cgroups.is_unit(path) else None


def check_make(path: str) -> None:
    """Check that the manager of its unit, if it is one, would make the VE. Raises NotAvailableError, UsageError."""
    if (unit := unit_of(path)) is None:
        return
    if len(unit.name) > _LONGEST:
        raise UsageError(f"{unit.name}: too long for a unit, by {len(unit.name) - _LONGEST}. Choose a shorter name")
    if unit.uid is None and os.geteuid():
        raise NotAvailableError(
            f"{path}: only root may make it, and user {os.geteuid()} has no systemd of its own now. Log in by ssh or "
            f"on a terminal, or have root run: loginctl enable-linger {os.geteuid()}"
        )


def make(base: Cgroup, path: str, about: str) -> Cgroup:
    """Make the VE below ``base`` and open it. ``about``: the unit's description.

    Raises BusyError if it exists, and as ``check_make`` and ``Cgroup.make``.
    """
    name = path.rpartition("/")[2]
    if (unit := unit_of(path)) is None:
        return base.make(name)
    from ...systemd import ve_units

    check_make(path)
    if base.has(name):
        raise BusyError(f"{path}: exists already. Choose another name")
    try:
        ve_units.start(unit, about)
        return base.child(name)
    except BaseException:
        with suppress(RctlError):  # the first error counts
            if not base.has(name):
                ve_units.stop(unit)
        raise


def remove(base: Cgroup, path: str, seconds: float = 0.0) -> None:
    """Remove the empty VE below ``base``. Raises BusyError if it still has processes or children after ``seconds``."""
    name = path.rpartition("/")[2]
    if seconds:
        remove_soon(base, name, seconds)
    else:
        base.remove(name)
    _stop(path)


def tidy(tree: Tree, steps: Iterable[Step], removed: Mapping[str, int]) -> None:
    """After a crash: stop the units of VEs that these steps made or removed, if they have no cgroup.

    ``removed``: inodes of cgroups that are gone for good. systemd may have made one anew at a reload, because its unit
    still ran: that one is removed, too.
    """
    if owner.applies():
        for path in {step.path for step in steps if isinstance(step, Make | Remove)}:
            if not tree.exists(path):
                _stop(path)
            elif path in removed and unit_of(path) is not None:
                with suppress(RctlError), tree.walk(path.rpartition("/")[0] or "/") as base:
                    with base.child(path.rpartition("/")[2]) as now:
                        anew = now.ino != removed[path]
                    if anew:
                        remove(base, path)


def stop_without_cgroup(tree: Tree, wanted: Callable[[str], bool]) -> list[str]:
    """Stop the units of own VEs that have no cgroup, because who made or removed them was killed. Returns their names.

    ``wanted``: tells from a name whether the VE is meant. Raises NotAvailableError, BusyError.
    """
    if not tree.naming.suffix:
        return []
    from ...systemd import drop_ins

    manager = Unit.at(tree.path("any")).uid  # the same for all
    units = drop_ins.listed(drop_ins.transient(manager))
    names = [name for name in map(tree.naming.name, units) if name and wanted(name)]
    left = [name for name in names if not tree.exists(tree.path(name))]
    for name in left:
        _stop(tree.path(name))
    return left


def _stop(path: str) -> None:
    if (unit := unit_of(path)) is not None:
        from ...systemd import ve_units

        ve_units.stop(unit)


def enter(ve: Cgroup, pid: int) -> None:
    """Move a process into the VE; 0: the caller. A user may have no right to that; then the user's systemd does it.

    Raises KernelError, NotFoundError, and NotAvailableError if systemd refuses it.
    """
    try:
        ve.write(PROCS, str(pid))
    except KernelError as error:
        unit = unit_of(ve.path)
        if error.errno not in (errno.EACCES, errno.EPERM) or unit is None or unit.uid is None:
            raise
        from ...systemd import ve_units

        ve_units.attach(unit, pid or os.getpid())
