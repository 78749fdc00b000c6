"""What only this host can say before limits become writes: which disk a path lies on, which CPUs a count means."""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import UNSET

from ..cgroupfs import devices
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import cpu, cpuset, io
from ..errors import NotAvailableError, UsageError
from ..host import Host
from ..limits import Limits
from ..units import MAX, Cpus, Ranges


def disks(limits: Limits) -> Limits:
    """``io.max`` keys as ``MAJOR:MINOR`` of whole disks. Raises UsageError."""
    if not limits.io.max:
        return limits
    found: dict[str, io.DeviceMax] = {}
    for name, rates in limits.io.max.items():
        number = devices.resolve(name)
        if number in found:
            raise UsageError(f"io.max: {name} lies on disk {number}, which is named already. Give each disk once")
        found[number] = rates
    return msgspec.structs.replace(limits, io=msgspec.structs.replace(limits.io, max=found))


class Promises:
    """How many VEs each CPU is promised to, counted once from the managed VEs' ``cpuset.cpus``."""

    def __init__(self, tree: Tree) -> None:
        self._lists: dict[str, Ranges] = {}
        for name in tree.names():
            with tree.open_ve(name) as ve:
                self.set(ve.path, _held(ve))

    def set(self, path: str, cpus: Ranges) -> None:
        """From now on this VE has these CPUs."""
        self._lists[path] = cpus

    def to_others(self, path: str) -> Counter[int]:
        """For each CPU, how many VEs other than this one have it by name."""
        return Counter(cpu for other, cpus in self._lists.items() if other != path for cpu in cpus.numbers)


def vcpus(limits: Limits, ve: Cgroup, host: Host, promises: Promises) -> Limits:
    """``vcpus = N`` as a list of N CPUs and a cap of N CPUs; a lower cap, given or set before, stays.

    Raises UsageError when the host has fewer CPUs, or when ``cpuset.cpus`` is given too.
    """
    if limits.vcpus is UNSET:
        return limits
    held = _held(ve)
    return _expanded(limits, ve.path, host, promises, held, _own_cap(ve, len(held.numbers or host.cpus)))


def vcpus_of_new(limits: Limits, path: str, host: Host, promises: Promises) -> Limits:
    """As ``vcpus``, for a VE that is yet to be made."""
    return limits if limits.vcpus is UNSET else _expanded(limits, path, host, promises, Ranges(), Cpus(MAX))


def _expanded(limits: Limits, path: str, host: Host, promises: Promises, held: Ranges, own_cap: Cpus) -> Limits:
    assert limits.vcpus is not UNSET
    if limits.cpuset.cpus is not UNSET:
        raise UsageError("vcpus: given together with cpuset.cpus. Give one of them")
    if limits.vcpus.amount is MAX:
        chosen, cap = Ranges(host.cpus), Cpus(MAX)
    else:
        try:
            chosen = cpuset.pick(limits.vcpus.amount, host.nodes, promises.to_others(path), held.numbers)
        except ValueError as error:
            raise UsageError(str(error)) from None
        cap = Cpus(limits.vcpus.amount * cpu.MICRO)
    promises.set(path, chosen)
    wanted = limits.cpu.max if limits.cpu.max is not UNSET else own_cap
    if wanted.amount is not MAX and (cap.amount is MAX or wanted.amount < cap.amount):
        cap = wanted
    return msgspec.structs.replace(
        limits,
        vcpus=UNSET,
        cpu=msgspec.structs.replace(limits.cpu, max=cap),
        cpuset=msgspec.structs.replace(limits.cpuset, cpus=chosen),
    )


def _held(ve: Cgroup) -> Ranges:
    return Ranges.parse((ve.read_if_there(cpuset.CPUS.name) or "").strip())


def _own_cap(ve: Cgroup, cpus: int) -> Cpus:
    """The cap that somebody set on purpose: one that is lower than the ``cpus`` that the VE has; else no limit."""
    try:
        cap = cpu.cpus_of(ve.read(cpu.MAX.name).strip())
    except NotAvailableError:
        return Cpus(MAX)
    if cap is None or cap >= cpus:
        return Cpus(MAX)
    return Cpus(round(cap * cpu.MICRO))
