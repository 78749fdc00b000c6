"""The cost of the engine over the bare system calls: 10 limits on one VE, and one limit on many VEs.

The bare loop does what a careful script does for the same entries: open, read, close, open, write, close, open, read
back, close. It uses paths relative to the cgroup mount, and plain ``os`` calls. The engine does the same reads and
writes; it also locks, plans, journals, verifies and keeps the history. Both change the same files to the same values by
turns, in one process: to the first values and back, because taking memory away costs the engine more than giving it.
The result is the median of the ratios of pairs. Absolute times mean nothing on other machines.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec

from ...adjust.engine import Options, Wish, transact
from ...adjust.site import Site
from ...cgroupfs.tree import Tree
from ...errors import NotAvailableError
from ...formats import Write
from ...limits import decode, nest, writes
from ...ve import bare
from ..figures.result import Figure
from ..figures.stats import ratio_interval, verdict
from ..stage.place import removed, text_of
from . import peers

TEN: tuple[dict[str, object], ...] = (
    {"memory.max": "1G", "memory.high": "900M", "memory.low": "64M", "memory.swap.max": "512M", "memory.oom.group": 1,
     "cpu.max": 1.5, "cpu.burst": "10ms", "cpu.weight": 200, "pids.max": 500, "io.weight": 200},
    {"memory.max": "2G", "memory.high": "1800M", "memory.low": "32M", "memory.swap.max": "256M", "memory.oom.group": 0,
     "cpu.max": 0.5, "cpu.burst": "5ms", "cpu.weight": 100, "pids.max": 300, "io.weight": 100},
)  # fmt: skip
ONE: tuple[dict[str, object], ...] = ({"pids.max": 500}, {"pids.max": 300})
CLAIMS = {"10 limits, 1 VE": 2.0, "1 limit, many VEs": 1.5}
ENGINE = "the engine over bare reads and writes"


class Case(msgspec.Struct, frozen=True):
    """One comparison.

    ``pairs``: (bare, engine) in seconds; each is for two adjustments, there and back. ``lacking``: files that this
    kernel does not have; neither of the two touched these.
    """

    name: str
    at_most: float
    pairs: tuple[tuple[float, float], ...]
    lacking: tuple[str, ...] = ()

    def figure(self) -> Figure:
        """The case as a figure."""
        found = ratio_interval(self.pairs)
        bare_us, engine_us = (1e6 * statistics.median(side) for side in zip(*self.pairs, strict=True))
        origin = f"median of {len(self.pairs)} pairs, there and back: {engine_us:.0f} us over {bare_us:.0f} us"
        if self.lacking:
            origin += f", without {', '.join(self.lacking)}, which this kernel does not have"
        return Figure(
            self.name, found.ratio, "ratio", origin, found.low, found.high, self.at_most,
            verdict(found, self.at_most), ENGINE,
        )  # fmt: skip


def measure(site: Site, *, rounds: int, ves: int, tell: Callable[[str], None]) -> list[Figure]:
    """Make VEs for the benchmark, measure, remove them. Raises RctlError if limits cannot be set."""
    names = [f"bench-{os.getpid()}-{i}" for i in range(ves)]
    try:
        tell(f"making {ves} VEs")
        for name in names:
            bare.make(site.tree, name).close()
        one = _case("10 limits, 1 VE", site, names[:1], TEN, rounds * 10, tell)
        many = _case("1 limit, many VEs", site, names, ONE, rounds, tell)
        return [one.figure(), many.figure(), *peers.measure(site, names[0], tell)]
    finally:
        tell("removing the VEs")
        removed(site.tree, *names)


def _case(
    name: str, site: Site, ves: Sequence[str], values: Sequence[dict[str, object]], rounds: int,
    tell: Callable[[str], None],
) -> Case:  # fmt: skip
    tree = site.tree
    plans = [writes(decode(nest(v), site.host), site.host) for v in values]

    def engine(wanted: tuple[Write, ...]) -> float:
        wishes = [Wish(ve, wanted) for ve in ves]
        begin = time.perf_counter()
        transact(site, wishes, Options(command="bench"))
        return time.perf_counter() - begin

    def taken(write: Write) -> bool:
        try:
            engine((write,))
        except NotAvailableError:
            return False
        return True

    # Enables the controllers (a default value alone would not), and finds the files that this kernel does not have.
    # Both start from the values of the second plan.
    lacking = {write.file.name for plan in plans for write in plan if not taken(write)}
    plans = [tuple(write for write in plan if write.file.name not in lacking) for plan in plans]
    known = _entries(tree, ves[0], plans)
    paths = [tree.path(ve) for ve in ves]

    def bare_loop(wanted: tuple[Write, ...]) -> float:
        return _bare(tree.root.fd, paths, known[wanted])

    pairs = []
    for number in range(rounds):
        tell(f"{name}: round {number + 1} of {rounds}")
        there, bare_back = engine(plans[0]), bare_loop(plans[1])
        bare_there, back = bare_loop(plans[0]), engine(plans[1])
        pairs.append((bare_there + bare_back, there + back))
    return Case(name, CLAIMS[name], tuple(pairs), tuple(sorted(lacking)))


def _entries(tree: Tree, ve: str, plans: Sequence[tuple[Write, ...]]) -> dict[tuple[Write, ...], list[tuple[str, str]]]:
    """The texts that the engine writes, by plan."""
    with tree.open_ve(ve) as cgroup:
        return {
            wanted: [(w.file.name, text_of(cgroup, w)) for w in wanted if cgroup.has(w.file.name)] for wanted in plans
        }


def _bare(root: int, paths: Sequence[str], texts: Sequence[tuple[str, str]]) -> float:
    begin = time.perf_counter()
    for path in paths:
        for name, text in texts:
            file = f"{path[1:]}/{name}"
            _read(root, file)
            fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC, dir_fd=root)
            os.write(fd, text.encode())
            os.close(fd)
            _read(root, file)
    return time.perf_counter() - begin


def _read(root: int, file: str) -> bytes:
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
    data = b""
    while chunk := os.read(fd, 4096):
        data += chunk
    os.close(fd)
    return data
