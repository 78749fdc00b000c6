"""The cost of the engine over the bare system calls: 10 limits on one VE, and one limit on many VEs and on one.

The bare loop does what a careful script does for the same entries: open, read, close, open, write, close, open, read
back, close. It uses paths relative to the cgroup mount, and plain ``os`` calls. The engine does the same reads and
writes; it also locks, plans, journals, verifies and keeps the history. Both change the same files to the same values by
turns, in one process: to the first values and back, because taking memory away costs the engine more than giving it.
The result is the median of the ratios of pairs. Absolute times mean nothing on other machines.

Where systemd runs the host, VEs are units. There a careful script sets their properties in one call to the manager
(``SetUnitProperties``), and writes only those files that have no property; it reads the same files before and after.
It makes and reads its messages with jeepney alone (``through_systemd``).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import msgspec

from ...adjust import writers
from ...adjust.engine import Options, Wish, transact
from ...adjust.site import Site
from ...adjust.writers import systemd
from ...cgroupfs.tree import Tree
from ...errors import NotAvailableError
from ...formats import Write
from ...limits import decode, nest
from ...limits import writes as to_writes
from ...ve import bare
from ..figures.result import Figure
from ..figures.stats import ratio_interval, verdict
from ..stage.place import removed, text_of
from . import peers, through_systemd
from .bare_calls import Text, set_bare

TEN: tuple[dict[str, object], ...] = (
    {"memory.max": "1G", "memory.high": "900M", "memory.low": "64M", "memory.swap.max": "512M", "memory.oom.group": 1,
     "cpu.max": 1.5, "cpu.burst": "10ms", "cpu.weight": 200, "pids.max": 500, "io.weight": 200},
    {"memory.max": "2G", "memory.high": "1800M", "memory.low": "32M", "memory.swap.max": "256M", "memory.oom.group": 0,
     "cpu.max": 0.5, "cpu.burst": "5ms", "cpu.weight": 100, "pids.max": 300, "io.weight": 100},
)  # fmt: skip
ONE: tuple[dict[str, object], ...] = ({"pids.max": 500}, {"pids.max": 300})
CLAIMS = {"10 limits, 1 VE": 2.0, "1 limit, many VEs": 1.5, "1 limit, 1 VE": None}
"""The highest ratio of each case. One limit of one VE is not judged: there the journal costs more than the limit."""
CLAIM_THROUGH_SYSTEMD = 1.3
ENGINE = "the engine over bare reads and writes"
THROUGH_SYSTEMD = "the engine over bare calls to systemd, with the same reads"


class Case(msgspec.Struct, frozen=True):
    """One comparison.

    ``pairs``: (bare, engine) in seconds; each is for two adjustments, there and back. ``lacking``: files that cannot
    be set here; neither of the two touched these.
    """

    name: str
    at_most: float | None
    pairs: tuple[tuple[float, float], ...]
    group: str = ENGINE
    lacking: tuple[str, ...] = ()

    def figure(self) -> Figure:
        """The case as a figure."""
        found = ratio_interval(self.pairs)
        bare_us, engine_us = (1e6 * statistics.median(side) for side in zip(*self.pairs, strict=True))
        origin = f"median of {len(self.pairs)} pairs, there and back: {engine_us:.0f} us over {bare_us:.0f} us"
        if self.lacking:
            origin += f", without {', '.join(self.lacking)}, which cannot be set here"
        return Figure(
            self.name, found.ratio, "ratio", origin, found.low, found.high, self.at_most,
            verdict(found, self.at_most) if self.at_most else "", self.group,
        )  # fmt: skip


def measure(site: Site, *, rounds: int, ves: int, tell: Callable[[str], None]) -> list[Figure]:
    """Make VEs for the benchmark, measure, remove them. Raises RctlError if limits cannot be set."""
    names = [f"bench-{os.getpid()}-{i}" for i in range(ves)]
    try:
        tell(f"making {ves} VEs")
        for name in names:
            bare.make(site.tree, name).close()
        cases = [
            _case("10 limits, 1 VE", site, names[:1], TEN, rounds * 10, tell),
            _case("1 limit, many VEs", site, names, ONE, rounds, tell),
            _case("1 limit, 1 VE", site, names[:1], ONE, rounds * 10, tell),
        ]
        return [*(case.figure() for case in cases), *peers.measure(site, names[0], tell)]
    finally:
        tell("removing the VEs")
        removed(site.tree, *names)


def _case(
    name: str, site: Site, ves: Sequence[str], values: Sequence[dict[str, object]], rounds: int,
    tell: Callable[[str], None],
) -> Case:  # fmt: skip
    tree = site.tree
    plans = [to_writes(decode(nest(v), site.host), site.host) for v in values]

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
    through = writers.of(tree, paths[0])[0] is systemd
    calls = {wanted: through_systemd.split(texts) for wanted, texts in known.items()} if through else {}

    def bare_loop(wanted: tuple[Write, ...]) -> float:
        if wire:
            return through_systemd.set_bare(wire, tree.root.fd, paths, *calls[wanted])
        return set_bare(tree.root.fd, paths, known[wanted])

    pairs = []
    with through_systemd.Wire() if through else nullcontext() as wire:
        for number in range(rounds):
            tell(f"{name}: round {number + 1} of {rounds}")
            there, bare_back = engine(plans[0]), bare_loop(plans[1])
            bare_there, back = bare_loop(plans[0]), engine(plans[1])
            pairs.append((bare_there + bare_back, there + back))
    claim, group = (CLAIM_THROUGH_SYSTEMD, THROUGH_SYSTEMD) if through else (CLAIMS[name], ENGINE)
    return Case(name, claim, tuple(pairs), group, tuple(sorted(lacking)))


def _entries(tree: Tree, ve: str, plans: Sequence[tuple[Write, ...]]) -> dict[tuple[Write, ...], list[Text]]:
    """The texts that the engine writes, by plan."""
    with tree.open_ve(ve) as cgroup:
        return {
            wanted: [(w.file.name, text_of(cgroup, w)) for w in wanted if cgroup.has(w.file.name)] for wanted in plans
        }
