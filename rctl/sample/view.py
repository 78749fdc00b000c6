"""Everything about one VE: a sample, its limits, its bounds, the room left, and rates."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec.structs import asdict

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..names.patterns import may_go
from ..units import MAX
from .effective import Bound, Room, effective, headroom
from .levels import OptionalReader, way_up
from .population import processes
from .rates import Rates, rates
from .reading import Sample, counters, with_limits


class View(msgspec.Struct, frozen=True):
    """``limits``: texts of their files by name. ``effective``, ``headroom``: by limit. ``rates``: with an interval."""

    sample: Sample
    processes: int
    limits: dict[str, str]
    effective: dict[str, Bound]
    headroom: dict[str, Room]
    rates: Rates | None = None

    def exact(self) -> dict[str, Any]:
        """Plain data for programs: exact integers, no limit as ``max``."""
        data = asdict(self.sample)
        del data["clock"]  # only meaningful in this process
        if (cpu := self.sample.cpu) and cpu.max is None and cpu.weight is not None:
            data["cpu"] = asdict(cpu) | {"max": MAX}
        return {
            **data,
            "state": self.sample.state,
            "processes": self.processes,
            "effective": self.effective,
            "headroom": self.headroom,
            "rates": self.rates,
        }


def views(
    tree: Tree, names: Iterable[str], host: OptionalReader, interval: float | None = None, named: Collection[str] = ()
) -> list[View]:
    """Views of VEs. With an ``interval`` (seconds), they include rates; all VEs share the one interval.

    One VE is open at a time, because there may be more VEs than this process may open files. A VE that is removed
    meanwhile, or made again in the interval, is left out. Raises KernelError; for a VE that ``named`` has by its name,
    NotFoundError and GoneError.
    """
    names = list(names)
    before: dict[str, tuple[int, Sample]] = {}
    if interval:
        for name in names:
            with may_go(tree, name, named), tree.open_ve(name) as ve:
                before[name] = ve.ino, counters(ve, name)
        time.sleep(interval)
    found = []
    for name in names:
        with may_go(tree, name, named), tree.open_ve(name) as ve:
            found.append(_view(tree, ve, name, host, before.get(name)))
    return found


def _view(tree: Tree, ve: Cgroup, name: str, host: OptionalReader, before: tuple[int, Sample] | None) -> View:
    if before and before[0] != ve.ino:
        raise ve.gone()
    sample, limits = with_limits(ve, name)
    levels = way_up(tree, ve.path, host)
    lately = rates(before[1], sample) if before else None
    return View(sample, processes(ve), limits, effective(levels), headroom(levels), lately)
