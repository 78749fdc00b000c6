"""Finds the metric family that shows a figure of the kernel's files. Pure."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from rctl.formats import DEVICE
from rctl.sample.layout import FigurePlace

from . import families, memory_stat
from .families import Family
from .settings import Selection

FAMILIES: tuple[Family, ...] = tuple(
    families.IDENTITY
    + families.CPU
    + families.MEMORY
    + families.NUMA
    + families.PRESSURE
    + families.IO
    + families.OTHERS
)
"""All families except those of memory.stat, whose keys differ by kernel."""

BY_NAME = {family.name: family for family in FAMILIES}
CURRENT = FigurePlace("memory.current", "", "")
INACTIVE = FigurePlace(memory_stat.FILE, "", "inactive_file")
WORKING_SET = BY_NAME["memory_working_set_bytes"]
PROCESSES = BY_NAME["processes_current"]

_EXACT = {
    FigurePlace(*family.source): family for family in FAMILIES if family.source and "*" not in "".join(family.source)
}


class Slot(NamedTuple):
    """The place of a figure on the page. ``label``: the value of the family's own label; empty if it has none."""

    family: Family
    label: str = ""


@lru_cache(1 << 14)  # devices come and go
def place(column: FigurePlace) -> Slot | None:
    """The place of a figure on the page; ``None`` if no family shows it."""
    if family := _EXACT.get(column):
        return Slot(family)
    if column.file == memory_stat.FILE and not column.line and (family := memory_stat.family(column.key)):
        return Slot(family)
    if column.file == "io.stat" and not DEVICE.fullmatch(column.line):
        return None  # "(unknown)" may stand there several times, as for the parts of a multipath device
    for patterns, family in _patterns(column.file):
        matches = [pattern.fullmatch(part) for pattern, part in zip(patterns, column, strict=True)]
        if all(matches):
            label = next(match[1] for match in matches if match and match.groups())
            return Slot(family, label.removeprefix("N") if family.label == "node" else label)
    return None


@cache
def _patterns(file: str) -> list[tuple[tuple[re.Pattern[str], ...], Family]]:
    """Families with a ``*`` that may show a figure of this file, each with a pattern for file, line and key."""
    starred = [family for family in FAMILIES if family.source and "*" in "".join(family.source)]
    sources = [(tuple(map(_pattern, family.source or ())), family) for family in starred]
    return [(patterns, family) for patterns, family in sources if patterns[0].fullmatch(file)]


@cache
def _pattern(part: str) -> re.Pattern[str]:
    return re.compile(re.escape(part).replace(r"\*", "(.+)"))


def wanted(family: Family, selection: Selection) -> bool:
    """True if the selection includes the family."""
    return family.collector in selection.collectors and (selection.profile == "full" or family.core)


def shown(column: FigurePlace, selection: Selection) -> Slot | None:
    """The place of a figure on the page with this selection; ``None`` if it is not shown."""
    found = place(column)
    return found if found and wanted(found.family, selection) else None
