"""Everything about one VE: a sample, its limits, its bounds, the room left, and rates."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..host import Host, Reader
from ..names.identify import Identify
from ..names.identity import Identity
from ..names.patterns import may_go
from ..not_enforced import NotEnforced
from ..units import MAX
from .effective import Bound, Room, effective, headroom
from .in_force import conditions, not_enforced
from .levels import OptionalReader, way_up
from .population import processes
from .rates import Rates, rates
from .reading import Sample, counters, with_limits


class View(msgspec.Struct, frozen=True):
    """``limits``: texts of their files by name. ``effective``, ``headroom``: by limit. ``rates``: with an interval.

    ``not_enforced``: limits of its own that this host does not enforce. ``identity``: what people call the VE.
    """

    sample: Sample
    processes: int
    limits: dict[str, str]
    effective: dict[str, Bound]
    headroom: dict[str, Room]
    rates: Rates | None = None
    not_enforced: Sequence[NotEnforced] = ()
    identity: Identity | None = None

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
            "not_enforced": self.not_enforced,
            **dict.fromkeys(Identity.__struct_fields__[1:]),
            **(self.identity.labels if self.identity else {}),
        }


def views(
    tree: Tree, names: Iterable[str], host: OptionalReader, interval: float | None = None, named: Collection[str] = ()
) -> list[View]:
    """Views of VEs. With an ``interval`` (seconds), they include rates; all VEs share the one interval.

    One VE is open at a time, because there may be more VEs than this process may open files. A VE that is removed
    meanwhile, or made again in the interval, is left out. Raises KernelError; for a VE that ``named`` has by its name,
    NotFoundError and GoneError.
    """
    names, facts = list(names), Host(_present(host))
    before: dict[str, tuple[int, Sample]] = {}
    if interval:
        for name in names:
            with may_go(tree, name, named), tree.open_ve(name) as ve:
                before[name] = ve.ino, counters(ve, name)
        time.sleep(interval)
    found, identify = [], Identify(tree)
    for name in names:
        with may_go(tree, name, named), tree.open_ve(name) as ve:
            view = _view(tree, ve, name, host, facts, before.get(name))
            found.append(replace(view, identity=identify(ve.path)))
    return found


def _view(
    tree: Tree, ve: Cgroup, name: str, host: OptionalReader, facts: Host, before: tuple[int, Sample] | None
) -> View:
    if before and before[0] != ve.ino:
        raise ve.gone()
    sample, limits = with_limits(ve, name)
    levels = way_up(tree, ve.path, host)
    lately = rates(before[1], sample) if before else None
    idle = not_enforced(limits, conditions(tree, ve, facts))
    return View(sample, processes(ve), limits, effective(levels), headroom(levels), lately, idle)


def _present(host: OptionalReader) -> Reader:
    """A reader that raises FileNotFoundError for a missing file, as Host wants it."""

    def read(path: str) -> str:
        if (text := host(path)) is None:
            raise FileNotFoundError(path)
        return text

    return read
