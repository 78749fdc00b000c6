"""Keeps cgroups from becoming threaded: one with processes that gives controllers to its children would.

For most controllers the kernel refuses that (EBUSY). For controllers that can work on threads it accepts it, and turns
the cgroup into a "threaded domain". Its children are then "domain invalid", and no process can be put into them.
https://docs.kernel.org/admin-guide/cgroup-v2.html#threads
"""

from __future__ import annotations

from ...cgroupfs.cgroup import Cgroup
from ...controllers.core import PROCS, SUBTREE_CONTROL, THREADED, TYPE
from ...errors import BusyError, NotAvailableError

ABOVE = "domain threaded"
"""The type of the cgroup at the top of threaded ones."""
_CURE = "Move them into a child first: mkdir a cgroup below {} and write each pid to its cgroup.procs"


def kind(cgroup: Cgroup) -> str:
    """The text of ``cgroup.type``. The host's root cgroup has no such file and may hold both: the result is empty."""
    return (cgroup.read_if_there(TYPE) or "").strip()


def check_enable(cgroup: Cgroup, controller: str, what: str) -> None:
    """Check that ``controller`` can be enabled for the children of ``cgroup``. ``what``: the limit's file.

    Raises BusyError if the cgroup has processes of its own, NotAvailableError if the kernel does not enable the
    controller in a threaded cgroup. In a tree that was made threaded on purpose, the kernel decides.
    """
    found = kind(cgroup)
    if found == "domain" and (count := cgroup.read(PROCS).count("\n")):
        raise BusyError(
            f"{what}: the {controller} controller cannot be enabled in {cgroup.path}, which has {count} process(es) of "
            f"its own: its children could then hold none. {_CURE.format(cgroup.path)}"
        )
    if found == "domain invalid" or (found.endswith("threaded") and controller not in THREADED):
        raise NotAvailableError(
            f"{what}: the {controller} controller cannot be enabled in {cgroup.path}, whose cgroup.type is {found!r}: "
            f"{explained(found)}"
        )


def check_enter(cgroup: Cgroup) -> None:
    """Raise BusyError if a process in the cgroup would make its children unusable."""
    given = cgroup.read(SUBTREE_CONTROL).split()
    if given and kind(cgroup) == "domain":
        raise BusyError(
            f"{cgroup.path}: gives controllers ({', '.join(given)}) to its children, so it takes no processes itself. "
            "Name one of its children, or a VE of its own"
        )


def explained(found: str) -> str:
    """Why a cgroup of this type takes no processes, or no controllers, and the remedy."""
    if found == "domain invalid":
        return (
            "a cgroup above it is threaded, because it has both processes and controllers for its children. "
            "Move those processes into a child of their own"
        )
    return (
        f"only {', '.join(sorted(THREADED))} can be limited below it. "
        "Move its processes into a child of their own, or make the VE elsewhere (RCTL_TREE)"
    )
