"""The limits of a VE that are in force and that this host does not enforce; ``show``, ``doctor`` and the exporter tell
them."""

from __future__ import annotations

from collections.abc import Mapping

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.policies import policies
from ..cgroupfs.tree import Tree
from ..controllers import hugetlb, io
from ..host import Host
from ..not_enforced import FILES, HUGETLB, Conditions, NotEnforced, check
from .limits import changed


def iocost_disks(root: Cgroup) -> frozenset[str]:
    """The disks that use iocost, as ``MAJOR:MINOR``."""
    lines = (root.read_if_there("io.cost.qos") or "").splitlines()
    return frozenset(line.split()[0] for line in lines if "enable=1" in line)


def conditions(tree: Tree, ve: Cgroup, host: Host) -> Conditions:
    """What decides whether limits of this open VE are enforced."""
    return Conditions(
        host,
        lambda: iocost_disks(tree.root),
        lambda: ve.has(io.BFQ_WEIGHT.name),
        lambda: policies(ve),
        lambda: hugetlb.in_use(ve.texts(hugetlb.files(ve.files()))),
        HUGETLB in tree.mount.options,
    )


def not_enforced(limits: Mapping[str, str], on: Conditions) -> list[NotEnforced]:
    """The VE's own limits that are not enforced. ``limits``: the texts of their files by name.

    A fact of the host that cannot be read counts as favourable.
    """
    found: list[NotEnforced] = []
    texts = {name: text for name, text in limits.items() if name in FILES}
    for file, key, entry in changed(texts):
        try:
            found += check(file.name, key or ("default" if file.name == io.WEIGHT.name else ""), entry, on)
        except OSError:  # a disk was removed
            continue
    return found
