"""The limits that stand, as metric values. Pure.

``max`` is ``+Inf``; a limit that a kernel or VE lacks is absent. https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache

from rctl.controllers.cpu import cpus_of
from rctl.formats import File, Keyed, PerDevice, flat_keyed, nested_keyed
from rctl.limits import FILES
from rctl.sample.standing import Standing
from rctl.units import MAX, Amount, Duration, Ranges, level

from .columns import BY_NAME, Slot, wanted
from .settings import Selection

Values = Mapping[Slot, bytes]

_DECLARED = {file.name: file for file in FILES if file.metrics}
_HUGE = "hugetlb_max_bytes"
_PAGES = re.compile(r"hugetlb\.[^.]*\.max")  # of reservations nothing but drift is shown
_BOUNDS = {"cpu.max": "cpu_effective_limit_cores", "memory.max": "memory_effective_limit_bytes"}


def files(selection: Selection) -> Callable[[tuple[str, ...]], Collection[str]] | None:
    """Which of a VE's files a selection's limits are in; ``None`` when it has none."""
    if "limits" not in selection.collectors:
        return None
    single = {file for file, names in SHOWN.items() if any(wanted(BY_NAME[name], selection) for name in names)}
    huge = wanted(BY_NAME[_HUGE], selection)
    return lambda there: [name for name in there if name in single or (huge and _PAGES.fullmatch(name))]


def values(standing: Standing, drift: Mapping[str, bool]) -> Values:
    """Every limit of a VE by where it is shown. ``drift``: by setting, whether it is no longer what rctl set.

    A text that is not understood is left out, so that one odd file does not cost the page.
    """
    bounds = tuple((limit, standing.bounds[limit].limit) for limit in _BOUNDS if limit in standing.bounds)
    return _values(tuple(standing.limits.items()), bounds, tuple(drift.items()))


@lru_cache(1 << 8)  # most VEs have the same limits
def _values(
    texts: tuple[tuple[str, str], ...],
    bounds: tuple[tuple[str, Amount | float | Ranges], ...],
    drift: tuple[tuple[str, bool], ...],
) -> Values:
    found: dict[Slot, bytes] = {}
    for file, text in texts:
        found.update(_places(file, text))
    for limit, bound in bounds:
        found[Slot(BY_NAME[_BOUNDS[limit]])] = amount(bound)
    for setting, gone in drift:
        found[Slot(BY_NAME["limit_drift"], setting)] = b"%d" % gone
    return found


@lru_cache(1 << 12)  # and those that have not differ in few files
def _places(file: str, text: str) -> tuple[tuple[Slot, bytes], ...]:
    with suppress(ValueError):
        return tuple((Slot(BY_NAME[name], label), value) for name, label, value in _parsed(file, text))
    return ()


def number(text: str) -> bytes:
    """A file's only number, or ``max``. Raises ValueError for anything else."""
    limit = level(text.strip())
    return b"+Inf" if limit == float("inf") else b"%d" % int(limit)


def amount(limit: Amount | float | Ranges) -> bytes:
    """A bound's limit; of a list of CPUs, how many."""
    if isinstance(limit, Ranges):
        return b"%d" % len(limit.numbers)
    return b"+Inf" if limit is MAX else repr(limit).encode()


def _micro(text: str) -> bytes:
    return b"%de-6" % int(text)


Parsed = Iterator[tuple[str, str, bytes]]


def _parsed(file: str, text: str) -> Parsed:
    if declared := _DECLARED.get(file):
        yield from _shown(declared, text)
    elif file in _PARSED:
        yield from _PARSED[file][0](text)
    elif _PAGES.fullmatch(file):
        yield _HUGE, file.split(".")[1], number(text)


def _shown(file: File, text: str) -> Parsed:
    """What a file holds, by the metrics of its declaration."""
    if isinstance(file, PerDevice):
        for device, values in nested_keyed(text).items():
            for one in file.metrics:
                if one.value in values:
                    yield one.name, device, _figure(values[one.value], issubclass(file.kinds[one.value], Duration))
    else:
        entry = str(flat_keyed(text).get("default", "")) if isinstance(file, Keyed) else text
        for one in file.metrics:
            yield one.name, "", _figure(entry, file.unit == "us")


def _figure(text: str, micro: bool) -> bytes:
    """A number; what the kernel counts in microseconds, in seconds."""
    return number(text) + b"e-6" * (micro and text.strip() != "max")


def _cpu_max(text: str) -> Parsed:
    _, period = text.split()
    cores = cpus_of(text.strip())
    yield "cpu_limit_cores", "", b"+Inf" if cores is None else repr(cores).encode()
    yield "cpu_period_seconds", "", _micro(period)


def _cpuset(text: str) -> Parsed:
    yield "cpuset_effective_cpus", "", b"%d" % len(Ranges.parse(text).numbers)


def _misc_max(text: str) -> Parsed:
    for line in text.splitlines():
        resource, _, value = line.partition(" ")
        yield "misc_max", resource, number(value)


_PARSED: dict[str, tuple[Callable[[str], Parsed], tuple[str, ...]]] = {
    "cpu.max": (_cpu_max, ("cpu_limit_cores", "cpu_period_seconds")),
    "cpuset.cpus.effective": (_cpuset, ("cpuset_effective_cpus",)),
    "misc.max": (_misc_max, ("misc_max",)),
}
"""By file, how it is read, and the families that show it."""
SHOWN: dict[str, tuple[str, ...]] = {
    **{name: tuple(one.name for one in file.metrics) for name, file in _DECLARED.items()},
    **{file: names for file, (_, names) in _PARSED.items()},
    "hugetlb.*.max": (_HUGE,),
}
"""The families that show the limit in a file, by the file's name; ``*`` is a size of huge pages."""
