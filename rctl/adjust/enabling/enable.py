"""The controllers to enable, and the cgroups, before a limit's file exists. Top-down, on demand, no others."""

from __future__ import annotations

import errno

from ...cgroupfs import files
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree, enabled
from ...controllers.core import CONTROLLERS, OF_ANY_KERNEL, SUBTREE_CONTROL, TYPE, enable_text
from ...controllers.memory import SWAP
from ...errors import BusyError, KernelError, NotAvailableError
from ...formats import File, Whole
from .. import owner
from ..steps import Enable
from . import threaded

_SELF = {
    "cpu": "cpu.weight=100", "io": "io.weight=100", "memory": "memory.max", "pids": "pids.max", "cpuset": "cpuset.cpus",
}  # fmt: skip
"""A limit of a unit for which systemd enables the controller itself."""


def missing(tree: Tree, path: str, file: File) -> list[Enable]:
    """The steps after which the missing ``file`` exists in the cgroup ``path``, parents first.

    Raises NotAvailableError if no steps can make it exist, BusyError if a cgroup above has processes of its own.
    """
    if not file.controller or path == "/":
        raise NotAvailableError(absent(file, path))
    if not (found := coming(tree, path, file)):
        raise NotAvailableError(absent(file, path))
    return found


def coming(tree: Tree, path: str, file: File) -> list[Enable]:
    """The steps that give a file's controller to the cgroup ``path``, which may not exist yet; empty: it has it.

    Raises as ``missing``.
    """
    name = file.controller
    if isinstance(file, Whole) and name not in OF_ANY_KERNEL:
        raise NotAvailableError(absent(file, path))
    if name not in enabled(tree.root, CONTROLLERS):
        if tree.root.has(TYPE):  # the real root has no cgroup.type
            raise NotAvailableError(
                f"{file.name}: the {name} controller is not given to {tree.mount.point}, which is not the root of the "
                f"host. Outside of it, write +{name} to the {SUBTREE_CONTROL} of each cgroup above"
            )
        raise NotAvailableError(
            f"{file.name}: the {name} controller is not available on this host: it is missing from the root's "
            f"cgroup.controllers. Enable it in the kernel (CONFIG, cgroup_disable=) or unmount it from cgroup v1"
        )
    found = []
    root = owner.delegated_root(tree, path) if owner.applies() else "/"
    for here in tree.way(path.rpartition("/")[0]):
        if name in enabled(here, SUBTREE_CONTROL):
            continue
        if not (root and f"{here.path}/".startswith(root)) and name in owner.HANDED_DOWN:
            raise NotAvailableError(
                f"{file.name}: the {name} controller is not enabled in {here.path}, which is systemd's to do. "
                f"Let a unit need it, such as by Delegate={name} in the unit above {path}, or by {_SELF[name]} on it"
            )
        _check_rights(here, name, file.name)
        threaded.check_enable(here, name, file.name)
        found.append(Enable(here.path, (name,)))
    return found


def _check_rights(cgroup: Cgroup, name: str, what: str) -> None:
    """Raise NotAvailableError if the caller may not enable a controller for the children of a cgroup."""
    try:
        cgroup.check_write(SUBTREE_CONTROL, cgroup.path, "cannot be written")
    except KernelError as error:
        if error.errno != errno.EACCES:
            raise
        raise NotAvailableError(
            f"{what}: the {name} controller is not handed down by {cgroup.path}, where you may not write. Have root "
            f"write +{name} to its {SUBTREE_CONTROL}, or run as root"
        ) from None


def merged(steps: list[Enable]) -> tuple[Enable, ...]:
    """One step for each cgroup, parents first."""
    wanted: dict[str, set[str]] = {}
    for step in steps:
        wanted.setdefault(step.path, set()).update(step.controllers)
    ordered = sorted(wanted.items(), key=lambda item: (0 if item[0] == "/" else item[0].count("/"), item[0]))
    return tuple(Enable(path, tuple(sorted(names))) for path, names in ordered)


def enable(cgroup: Cgroup, step: Enable) -> None:
    """Enable the controllers. Raises BusyError if a process came into the cgroup meanwhile, which made it threaded."""
    before = threaded.kind(cgroup)
    cgroup.write(SUBTREE_CONTROL, enable_text(step.controllers))
    if threaded.kind(cgroup) != before:
        raise BusyError(f"{cgroup.path}: a process came into it meanwhile, so it can have no controllers. Try again")


def absent(file: File, path: str) -> str:
    """Why a file is missing although no controller is missing, and the remedy."""
    if path == "/":
        return f"{file.name}: the root cgroup takes no such limit. Name a VE, or a cgroup below the root"
    if file.controller == "hugetlb":
        return f"{file.name}: this machine has no huge pages of that size. See /sys/kernel/mm/hugepages"
    if file.name.startswith(SWAP) and files.swap_accounting_is_off():
        return f"{file.name}: switched off at boot (swapaccount=0). Take that off the kernel's command line, and reboot"
    needs = f", and needs {file.config}" * bool(file.config)
    since = "" if isinstance(file, Whole) else f" (it came with Linux {file.since}{needs})"
    better = "one that is built with it" if file.config else "a newer kernel"
    return f"{file.name}: this kernel has no such file on {path}{since}. Leave it out, or boot {better}"
