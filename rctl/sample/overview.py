"""The list of many VEs, one row each."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError
from ..names.identify import Identify
from ..names.identity import Identity
from ..names.patterns import may_go, shown
from ..units import MAX, Amount
from .population import foreign, processes
from .reading import Sample, glance


class Row(msgspec.Struct, frozen=True):
    """One VE. ``None``: its controller is not enabled, or this kernel does not have the figure; ``max``: no own limit.

    ``cpu``: CPU time used so far, in seconds. ``cpus``: the limit in CPUs. Memory and swap are in bytes.
    ``memory_percent``: of the VE's own limit. ``memory_pressure``: per cent of the last 10 s in which some task waited
    for memory. ``owner``: who made the cgroup. ``unit`` to ``namespace``: what it belongs to, as far as it is known.
    """

    name: str
    path: str
    state: str
    processes: int
    cpu: float | None
    cpus: Amount | float | None
    memory: int | None
    memory_max: Amount | None
    memory_percent: float | None
    swap: int | None
    swap_max: Amount | None
    pids: int | None
    pids_max: Amount | None
    memory_pressure: float | None
    owner: str = "rctl"
    unit: str | None = None
    container: str | None = None
    image: str | None = None
    pod: str | None = None
    namespace: str | None = None


def rows(tree: Tree, names: Iterable[str], named: Collection[str] = ()) -> Iterator[Row]:
    """A row for each VE by name or path. A VE that was removed meanwhile is left out.

    Raises NotFoundError for a missing VE if ``named`` has its name, and not only a pattern.
    """
    identify = Identify(tree)
    for name in names:
        with may_go(tree, name, named), tree.open_ve(name) as ve:
            yield row(glance(ve, name), processes(ve), identify(ve.path))


def foreign_rows(tree: Tree, wanted: Callable[[str], bool]) -> list[Row]:
    """A row for each cgroup that has processes, is not rctl's, and whose path or name is ``wanted``; by path."""
    found, identify = [], Identify(tree)
    for cgroup in foreign(tree):
        identity = identify(cgroup.path)
        if wanted(cgroup.path) or wanted(identity.name):
            with suppress(GoneError):
                found.append(row(glance(cgroup, identity.name), processes(cgroup), identity))
    return sorted(found, key=lambda row: row.path)


def everything(tree: Tree, patterns: Sequence[str], tell: Callable[[str], object] = len) -> list[Row]:
    """A row for each VE, and for each other cgroup with processes. ``patterns`` match whole names; none: all.

    ``tell`` is called with each VE that is left out, because another file system is mounted over it.

    Raises NotFoundError if no pattern matches.
    """

    def wanted(name: str) -> bool:
        return not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    found = [*rows(tree, shown(tree, filter(wanted, tree.names()), (), tell)), *foreign_rows(tree, wanted)]
    if patterns and not found:
        raise NotFoundError(f"{' '.join(patterns)!r}: no cgroup with processes matches. See rctl ls --all")
    return found


def row(sample: Sample, inhabitants: int, identity: Identity) -> Row:
    """The row of one sample. Pure. A cgroup may have any name, so unprintable characters are escaped."""
    memory, pids, cpu = sample.memory, sample.pids, sample.cpu
    some = sample.pressure.get("memory", {}).get("some")
    capped = cpu is not None and cpu.weight is not None
    return Row(
        name=_printable(sample.name),
        path=_printable(sample.path),
        state=sample.state,
        processes=inhabitants,
        cpu=cpu.stat["usage_usec"] / 10**6 if cpu and "usage_usec" in cpu.stat else None,
        cpus=(MAX if cpu.max is None else cpu.max) if cpu and capped else None,
        memory=memory.current if memory else None,
        memory_max=memory.max if memory else None,
        memory_percent=_percent(memory.current, memory.max) if memory else None,
        swap=memory.swap_current if memory else None,
        swap_max=memory.swap_max if memory else None,
        pids=pids.current if pids else None,
        pids_max=pids.max if pids else None,
        memory_pressure=some.avg10 if some else None,
        **identity.labels,
    )


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _percent(use: int, limit: Amount) -> float | None:
    return None if limit is MAX or limit == 0 else round(100 * use / limit, 1)
