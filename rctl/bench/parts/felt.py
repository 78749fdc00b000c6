"""The time from the request for a change until a process feels it, for each limit.

A child works inside a VE without limits: it forks, burns CPU time, moves about on the CPUs, uses memory or writes to a
disk. The limit is lowered, by turns by the engine and by a bare write of the same text. The child notes the moment at
which its work was first held back. Both sides read the same monotonic clock.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from ...adjust.engine import Options, adjust
from ...adjust.site import Site
from ...cgroupfs.cgroup import Cgroup
from ...errors import RctlError
from ...limits import Limits, decode, nest, writes
from ...ve import bare
from ..figures import stats
from ..figures.result import Figure
from ..stage.place import WorkError, own_name, removed, text_of
from ..stage.worker import Work, Worker, now, working
from . import feelers

SECONDS = 20.0
"""Longest to wait for a change to be felt."""
GROUP = "from asked to felt"
BY_RCTL = " by rctl"


class Limit(NamedTuple):
    """One limit: how it is lowered and felt. ``events``: the file by which the kernel reports that; ``""``: none."""

    key: str
    free: Mapping[str, object]
    tight: Mapping[str, object]
    work: Callable[[Cgroup], Work]
    felt: str
    events: str = ""


def limits(folder: str) -> Iterator[Limit | Figure]:
    """All limits that can be felt here; for any other, a figure with the reason."""
    yield Limit("pids.max", {"pids.max": "max"}, {"pids.max": 1}, feelers.forks, "fork(2) fails with EAGAIN")
    yield Limit(
        "cpu.max", {"cpu.max": "max"}, {"cpu.max": 0.1}, feelers.burns,
        "the kernel stops a busy process, after it has used its 10 ms of the period",
    )  # fmt: skip
    for key in ("memory.max", "memory.high"):
        yield Limit(
            key, {key: "max"}, {key: "4M"}, feelers.fills, "memory.events tells of a charge held back", "memory.events"
        )  # fmt: skip
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        free, tight = {"cpuset.cpus": f"{cpus[0]}-{cpus[-1]}"}, {"cpuset.cpus": str(cpus[-1])}
        work = partial(feelers.moves, target=cpus[-1])
        yield Limit("cpuset.cpus", free, tight, work, "a busy process runs on the only CPU that is left")
    else:
        yield _not("cpuset.cpus", "this machine has one CPU, so no process can move")
    disk = feelers.disk(folder)
    if disk:
        key = f"io.max.{disk}.wiops"
        yield Limit(
            "io.max",
            {key: "max"},
            {key: 10},
            partial(feelers.puts, folder=folder),
            "a 4 KiB direct write must wait",
        )
    else:
        yield _not("io.max", f"{folder} lies on no disk. Give --folder on one")


def measure(site: Site, folder: str, *, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """Two figures for each limit, by rctl and by a bare write: medians in seconds. Its own VE is always removed."""
    name = own_name()
    found: list[Figure] = []
    try:
        with bare.make(site.tree, name) as ve:
            for limit in limits(folder):
                if isinstance(limit, Figure):
                    found.append(limit)
                    continue
                try:
                    found += _Felt(site, name, ve, limit).figures(rounds, tell)
                except (RctlError, WorkError, OSError) as error:
                    found.append(_not(limit.key, str(error)))
    finally:
        removed(site.tree, name)
    return found


class _Felt:
    """One limit of one VE."""

    def __init__(self, site: Site, name: str, ve: Cgroup, limit: Limit) -> None:
        self._site, self._name, self._ve, self._limit = site, name, ve, limit
        self._free = self._decoded(limit.free)
        self._tight = self._decoded(limit.tight)
        self._engine(self._tight)  # enables the controller (max would not), so that both ways do the same

    def figures(self, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
        times: dict[str, list[float]] = {"rctl": [], "a bare write": []}
        ways = {"rctl": self._engine, "a bare write": self._bare}
        for number in range(rounds):
            tell(f"{self._limit.key} felt: round {number + 1} of {rounds}")
            for way in ways if number % 2 else reversed(ways):
                times[way].append(self._round(ways[way]))
        return [self._figure(way, found) for way, found in times.items()]

    def _figure(self, way: str, times: list[float]) -> Figure:
        found = stats.median_interval(times)
        origin = f"median of {len(times)} rounds in one VE, in turn with the other way; felt: {self._limit.felt}"
        return Figure(
            f"{self._limit.key} by {way}", found.ratio, "seconds", origin, found.low, found.high, group=GROUP
        )  # fmt: skip

    def _round(self, change: Callable[[Limits], None]) -> float:
        self._bare(self._free)
        with working(self._ve, self._limit.work(self._ve)) as worker:
            before = self._ve.read(self._limit.events) if self._limit.events else ""
            begin = now()
            change(self._tight)
            felt = self._told(before) if self._limit.events else _stamp(worker, begin)
        return (felt - begin) / 1e9

    def _told(self, before: str) -> int:
        """The time at which the kernel changed the events' file; poll(2) reports that."""
        file = os.open(self._limit.events, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._ve.fd)
        try:
            poll = select.poll()
            poll.register(file, select.POLLPRI)
            end = now() + int(SECONDS * 1e9)
            while os.pread(file, 4096, 0).decode() == before:
                if not poll.poll(max(0, (end - now()) // 10**6)):
                    raise WorkError(f"nothing was felt within {SECONDS:g} s")
            return now()
        finally:
            os.close(file)

    def _decoded(self, values: Mapping[str, object]) -> Limits:
        limits: Limits = decode(nest(dict(values)), self._site.host)
        return limits

    def _engine(self, wanted: Limits) -> None:
        adjust(self._site, {self._name: wanted}, Options(force=True, command="bench"))

    def _bare(self, wanted: Limits) -> None:
        for one in writes(wanted, self._site.host):
            self._ve.write(one.file.name, text_of(self._ve, one))


def _stamp(worker: Worker, begin: int) -> int:
    """The time of the child's first report after the change was asked for."""
    while True:
        stamp = worker.report(SECONDS)
        if stamp is None:
            raise WorkError("the worker died before it felt anything")
        if stamp >= begin:
            return stamp


def _not(key: str, why: str) -> Figure:
    return Figure(key, None, "seconds", why, verdict="not measured", group=GROUP)
