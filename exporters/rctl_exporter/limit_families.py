"""The present limits as metric values. Pure.

``max`` is ``+Inf``; a limit that a kernel or VE lacks is absent. https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache

from rctl.controllers import hugetlb
from rctl.limits import FILES, file_named
from rctl.ranges import Ranges
from rctl.sample.limits_in_force import Standing
from rctl.units import MAX, Amount
from rctl.units import amount as parsed

from .columns import BY_NAME, Slot, wanted
from .settings import Selection

Values = Mapping[Slot, bytes]

_BOUNDS = {"cpu.max": "cpu_effective_limit_cores", "memory.max": "memory_effective_limit_bytes"}


def files(selection: Selection) -> Callable[[tuple[str, ...]], Collection[str]] | None:
    """The files of a VE that hold the limits of a selection; ``None`` if it has none."""
    if "limits" not in selection.collectors:
        return None

    @cache
    def shown(file: str) -> bool:
        return any(wanted(BY_NAME[name], selection) for name in _families(file))

    return lambda there: [file for file in there if shown(file)]


def _families(file: str) -> tuple[str, ...]:
    """The families that show the limit in a file."""
    if file in _NOT_OURS:
        return _NOT_OURS[file][1]
    with suppress(ValueError):
        return tuple(one.name for one in file_named(file).metrics)
    return ()


def values(standing: Standing, drift: Mapping[str, bool], unmet: tuple[tuple[str, str], ...] = ()) -> Values:
    """Every limit of a VE by its place on the page. ``drift``: by setting, whether it differs from rctl's last value.

    ``unmet``: setting and reason of the limits that are not enforced.

    A text that cannot be parsed is left out, so that one odd file does not lose the whole page.
    """
    bounds = tuple((limit, standing.bounds[limit].limit) for limit in _BOUNDS if limit in standing.bounds)
    return _values(tuple(standing.limits.items()), bounds, tuple(drift.items()), unmet)


@lru_cache(1 << 8)  # most VEs have the same limits
def _values(
    texts: tuple[tuple[str, str], ...],
    bounds: tuple[tuple[str, Amount | float | Ranges], ...],
    drift: tuple[tuple[str, bool], ...],
    unmet: tuple[tuple[str, str], ...],
) -> Values:
    found: dict[Slot, bytes] = {}
    for file, text in texts:
        found.update(_places(file, text))
    for limit, bound in bounds:
        found[Slot(BY_NAME[_BOUNDS[limit]])] = amount(bound)
    for setting, gone in drift:
        found[Slot(BY_NAME["limit_drift"], setting)] = b"%d" % gone
    for setting, reason in unmet:
        found[Slot(BY_NAME["limit_not_enforced"], f"{setting},{reason}")] = b"1"
    return found


@lru_cache(1 << 12)  # and the others differ in few files
def _places(file: str, text: str) -> tuple[tuple[Slot, bytes], ...]:
    with suppress(ValueError):
        return tuple((Slot(BY_NAME[name], label), value) for name, label, value in _parsed(file, text))
    return ()


def amount(limit: Amount | float | Ranges, micro: bool = False) -> bytes:
    """A limit as a number; ``micro``: it is in microseconds. Of a list of CPUs, their number."""
    if isinstance(limit, Ranges):
        return b"%d" % len(limit.numbers)
    return b"+Inf" if limit is MAX else repr(limit).encode() + b"e-6" * micro


Parsed = Iterator[tuple[str, str, bytes]]


def _parsed(file: str, text: str) -> Parsed:
    if file in _NOT_OURS:
        yield from _NOT_OURS[file][0](text)
    elif (limit := file_named(file)).metrics:
        for label, which, figure in limit.figures(text):
            for one in limit.metrics:
                if one.value == which:
                    yield one.name, label, amount(figure, one.name.endswith("_seconds"))


def _cpuset(text: str) -> Parsed:
    yield "cpuset_effective_cpus", "", amount(Ranges.parse(text))


def _misc_max(text: str) -> Parsed:
    for line in text.splitlines():
        resource, _, value = line.partition(" ")
        yield "misc_max", resource, amount(parsed(value))


_NOT_OURS: dict[str, tuple[Callable[[str], Parsed], tuple[str, ...]]] = {
    "cpuset.cpus.effective": (_cpuset, ("cpuset_effective_cpus",)),
    "misc.max": (_misc_max, ("misc_max",)),
}
"""Values that bind a VE and are no limits of rctl's. By file: its parser, and the families that show it."""
SHOWN: dict[str, tuple[str, ...]] = {
    **{file.name: _families(file.name) for file in FILES if file.metrics},
    **{file: _families(file) for file in _NOT_OURS},
    "hugetlb.*.max": tuple(one.name for one in hugetlb.METRICS),
}
"""The families that show the limit of a file, by the file's name; ``*`` is a size of huge pages."""
