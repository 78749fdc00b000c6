"""All that can be told of one VE: a sample, its limits, what binds it, the room left, and what it did lately."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import msgspec
from msgspec.structs import asdict

from ..cgroupfs.tree import Tree
from ..units import MAX
from . import limits
from .effective import Bound, Room, effective, headroom
from .levels import Reader, way_up
from .population import processes
from .rates import Rates, rates
from .reading import Sample, read


class View(msgspec.Struct, frozen=True):
    """``limits``: texts of their files by name. ``effective``, ``headroom``: by limit. ``rates``: if asked for."""

    sample: Sample
    processes: int
    limits: dict[str, str]
    effective: dict[str, Bound]
    headroom: dict[str, Room]
    rates: Rates | None = None

    def exact(self) -> dict[str, Any]:
        """Plain data for programs: exact integers, no limit as ``max``."""
        data = asdict(self.sample)
        del data["clock"]  # means something to this process only
        if (cpu := self.sample.cpu) and cpu.max is None and cpu.weight is not None:
            data["cpu"] = asdict(cpu) | {"max": MAX}
        return {
            **data,
            "state": self.sample.state,
            "processes": self.processes,
            "limits": limits.values(self.limits),
            "effective": self.effective,
            "headroom": self.headroom,
            "rates": self.rates,
        }


def views(tree: Tree, names: Iterable[str], host: Reader, interval: float | None = None) -> list[View]:
    """Views of VEs; with an ``interval`` (seconds), of what they did in it, too: it passes once for all of them.

    Raises NotFoundError, GoneError, KernelError.
    """
    with ExitStack() as stack:
        ves = [(name, stack.enter_context(tree.open_ve(name))) for name in names]
        before = [read(ve, name) for name, ve in ves] if interval else []
        if interval:
            time.sleep(interval)
        found = []
        for number, (name, ve) in enumerate(ves):
            sample = read(ve, name)
            levels = way_up(tree, ve.path, host)
            lately = rates(before[number], sample) if interval else None
            view = View(sample, processes(ve), limits.texts(ve), effective(levels), headroom(levels), lately)
            found.append(view)
        return found
