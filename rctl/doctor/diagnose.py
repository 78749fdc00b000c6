"""All checks, in the order in which to fix a host."""

from __future__ import annotations

import os
import resource

from ..adjust.enabling.threaded import kind
from ..adjust.owner import given_away
from ..adjust.state_folder import State
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.files import swap_accounting_is_off
from ..cgroupfs.mounts import cgroup_mounts
from ..cgroupfs.tree import Tree, enabled
from ..cgroupfs.ve_cgroups import BOOTED
from ..controllers.core import CONTROLLERS, SUBTREE_CONTROL
from ..errors import NotFoundError
from ..host import Host
from ..names.look_up import Elsewhere
from ..not_enforced import HUGETLB
from ..sample.population import own_processes
from . import controllers, disks, host, limits_in_force, mounts, owners, probe, rctl_folders, rights
from .check import Check, usable
from .host_files import Machine


def diagnose(tree: Tree | None, state: State, machine: Machine | None = None, problem: str = "") -> list[Check]:
    """Run all checks. ``tree``: the cgroup2 mount; ``None``: there is none to work on, because of ``problem``.

    ``machine``: unset, this host.
    """
    machine = machine or Machine()
    found = cgroup_mounts(machine.read("/proc/self/mountinfo") or "")
    v1 = mounts.held_by_v1(found, machine.read("/proc/cgroups") or "")
    checks = [mounts.mounted(found, v1, tree.mount.point if tree else None, problem)]
    if tree:
        checks += _tree_checks(tree, machine, v1)
    in_force = limits_in_force.checks(tree, Host(machine.present)) if tree and usable(checks) else []
    return [
        *checks, *_host_checks(machine, tree), *in_force,
        rctl_folders.state_folder(state), rctl_folders.journals(state), *rctl_folders.after_boot(machine, os.geteuid()),
    ]  # fmt: skip


def _tree_checks(tree: Tree, machine: Machine, v1: dict[str, str]) -> list[Check]:
    """The checks of the tree and of rctl's place in it."""
    try:
        with tree.walk(tree.base) as place:
            checks, own_controllers = _place_checks(tree, place, machine), enabled(place, CONTROLLERS)
    except NotFoundError:
        checks, own_controllers = [rights.missing_place(tree.base)], frozenset()
    handed_down = probe.may_write(tree.root)[SUBTREE_CONTROL]
    mine = controllers.OwnCgroup(tree.base, own_controllers, handed_down, bool(tree.naming.suffix))
    return [
        *checks,
        *controllers.controllers(enabled(tree.root, CONTROLLERS), mine, v1, machine.read("/proc/cgroups") or ""),
        *owners.owners(Elsewhere(tree).everything()),
        *controllers.files(probe.kernel_files(tree), swap_accounting_is_off(machine.read("/proc/cmdline") or "")),
    ]


def _place_checks(tree: Tree, place: Cgroup, machine: Machine) -> list[Check]:
    path, uid = place.path, os.geteuid()
    inner = rights.inner_processes(path, own_processes(place), kind(place), enabled(place, SUBTREE_CONTROL))
    if tree.naming.suffix:
        checks = [rights.units(path, uid)]
    else:
        checks = [
            rights.write(path, probe.may_write(place), uid),
            rights.systemd(machine.has_folder(BOOTED), path, given_away(tree, path)),
            *([inner] if inner else []),
        ]
    if not machine.root and usable(checks):
        checks.append(rights.run(path, probe.trial(tree)))
    return checks


def _host_checks(machine: Machine, tree: Tree | None) -> list[Check]:
    def read(path: str) -> str:
        return machine.read(path) or ""

    pools = {name: read(f"/sys/kernel/mm/hugepages/{name}/nr_hugepages") for name in _huge(machine)}
    io = tree is not None and "io" in enabled(tree.root, CONTROLLERS)
    qos = tree.root.read_if_there("io.cost.qos") if tree else None
    return [
        host.pressure({kind: machine.read(f"/proc/pressure/{kind}") for kind in ("cpu", "memory", "io")}),
        host.swap(read("/proc/swaps")),
        host.zswap(machine.read("/sys/module/zswap/parameters/enabled")),
        host.huge_pages(pools, HUGETLB in tree.mount.options if tree else False),
        host.sched_ext(read("/sys/kernel/sched_ext/state"), read("/sys/kernel/sched_ext/root/ops")),
        *disks.checks(disks.find(machine, qos), io),
        host.size(
            read("/proc/sys/kernel/osrelease").strip(),
            read("/proc/meminfo"),
            read("/sys/devices/system/cpu/online"),
            read("/sys/devices/system/node/online"),
        ),
        host.open_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
    ]


def _huge(machine: Machine) -> list[str]:
    return machine.names("/sys/kernel/mm/hugepages")
