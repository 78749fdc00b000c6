"""Resolves limits with facts of this host before they become writes: the disk of a path, the CPUs for a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import UNSET

from ...cgroupfs import devices
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...controllers import cpu, cpuset, io
from ...controllers.cpu import Cpus
from ...errors import GoneError, NotAvailableError, NotFoundError, UsageError
from ...formats import File
from ...host import Host
from ...limits import Limits, check_cpus
from ...ranges import Ranges
from ...units import MAX

EFFECTIVE = f"{cpuset.CPUS.name}.effective"


def disks(limits: Limits) -> Limits:
    """Limits by device with the ``MAJOR:MINOR`` of whole disks instead of names. Raises UsageError."""
    found = {file.field: _by_number(file, given) for file, given in io.by_device(limits.io)}
    return msgspec.structs.replace(limits, io=msgspec.structs.replace(limits.io, **found)) if found else limits


def _by_number(file: File, given: Mapping[str, msgspec.Struct]) -> dict[str, msgspec.Struct]:
    found: dict[str, msgspec.Struct] = {}
    for name, values in given.items():
        number = devices.resolve(name)
        if number in found:
            raise UsageError(f"{file.name}: {name} lies on disk {number}, which is named already. Give each disk once")
        found[number] = values
    return found


class Promises:
    """The number of VEs for each CPU, counted once from the managed VEs' ``cpuset.cpus``; and the CPUs of a parent."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._lists: dict[str, Ranges] = {}
        for name in tree.names():
            with suppress(NotFoundError, GoneError, NotAvailableError), tree.open_ve(name) as ve:
                self.set(ve.path, _held(ve))  # skip VEs that were removed, or that another file system covers

    def set(self, path: str, cpus: Ranges) -> None:
        """From now on this VE counts with these CPUs."""
        self._lists[path] = cpus

    def to_others(self, path: str) -> Counter[int]:
        """For each CPU, the number of other VEs that have it in their list."""
        return Counter(cpu for other, cpus in self._lists.items() if other != path for cpu in cpus.numbers)

    def in_effect_above(self, path: str) -> Ranges:
        """The CPUs that the parent has in effect, from the nearest cgroup above with a cpuset; else empty."""
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            with suppress(NotFoundError), self._tree.walk(path) as above:
                if (cpus := _ranges(above, EFFECTIVE)).numbers:
                    return cpus
        return Ranges()


def vcpus(limits: Limits, ve: Cgroup, host: Host, promises: Promises) -> Limits:
    """``vcpus = N`` as a list of N CPUs and a limit of N CPUs; a lower limit, given now or set before, stays.

    The CPUs are chosen from those that the parent has in effect, and those that the VE's own partition took from it.
    Raises UsageError if there are fewer, or if ``cpuset.cpus`` is given, too.
    """
    return _expanded(limits, ve.path, ve, host, promises)


def vcpus_of_new(limits: Limits, path: str, host: Host, promises: Promises) -> Limits:
    """As ``vcpus``, for a VE that is still to be made."""
    return _expanded(limits, path, None, host, promises)


def _expanded(limits: Limits, path: str, ve: Cgroup | None, host: Host, promises: Promises) -> Limits:
    if limits.vcpus is UNSET:
        return limits
    check_cpus(limits)
    count, held = limits.vcpus.amount, _held(ve)
    nodes = _nodes(host, promises.in_effect_above(path), _ranges(ve, EFFECTIVE))
    there = Ranges(tuple(cpu for cpus in nodes.values() for cpu in cpus))
    have = len(there.numbers)
    if count is MAX:
        chosen, cap = Ranges(), Cpus(MAX)  # the same as the parent, also when CPUs come back later
    elif count > have:
        whose = "this host has" if have == len(host.cpus) else f"the parent of {path} has {there}:"
        raise UsageError(f"vcpus: {count} asked for, and {whose} {have} CPUs online. Ask for fewer")
    else:
        chosen, cap = cpuset.pick(count, nodes, promises.to_others(path), held.numbers), Cpus(count * cpu.MICRO)
    promises.set(path, chosen)
    wanted = limits.cpu.max if limits.cpu.max is not UNSET else _own_cap(ve, len(held.numbers) or have)
    if wanted.amount is not MAX and (cap.amount is MAX or wanted.amount < cap.amount):
        cap = wanted
    return msgspec.structs.replace(
        limits,
        vcpus=UNSET,
        cpu=msgspec.structs.replace(limits.cpu, max=cap),
        cpuset=msgspec.structs.replace(limits.cpuset, cpus=chosen),
    )


def _nodes(host: Host, above: Ranges, own: Ranges) -> Mapping[int, tuple[int, ...]]:
    """The CPUs to choose from, by node: the parent's and the VE's ``own``; the host's if no parent has a list."""
    if not above.numbers:
        return host.nodes
    there = {*above.numbers, *own.numbers}
    return {node: tuple(cpu for cpu in cpus if cpu in there) for node, cpus in host.nodes.items()}


def _held(ve: Cgroup | None) -> Ranges:
    return _ranges(ve, cpuset.CPUS.name)


def _ranges(cgroup: Cgroup | None, file: str) -> Ranges:
    """A list; empty if the file is missing."""
    return Ranges.parse((cgroup and cgroup.read_if_there(file)) or "")


def _own_cap(ve: Cgroup | None, cpus: int) -> Cpus:
    """A limit that was set on purpose: one that is lower than the VE's ``cpus``; otherwise no limit."""
    if ve is None:
        return Cpus(MAX)
    try:
        cap = cpu.cpus_of(ve.read(cpu.MAX.name).strip())
    except NotAvailableError:
        return Cpus(MAX)
    if cap is None or cap >= cpus:
        return Cpus(MAX)
    return Cpus(round(cap * cpu.MICRO))
