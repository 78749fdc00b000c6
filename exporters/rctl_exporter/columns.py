"""From a figure's place in the kernel's files to the family that shows it, and what to ask the sweep for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from rctl.controllers.pressure import KINDS
from rctl.formats import DEVICE
from rctl.sample.layout import Column
from rctl.sample.member import Ask

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
"""All but those of memory.stat, whose keys are the kernel's to choose."""

BY_NAME = {family.name: family for family in FAMILIES}
CURRENT = Column("memory.current", "", "")
INACTIVE = Column(memory_stat.FILE, "", "inactive_file")
WORKING_SET = BY_NAME["memory_working_set_bytes"]
PROCESSES = BY_NAME["processes_current"]

_EXACT = {Column(*family.source): family for family in FAMILIES if family.source and "*" not in "".join(family.source)}
_PATTERNS = [
    (tuple(re.compile(re.escape(part).replace(r"\*", "(.+)")) for part in family.source), family)
    for family in FAMILIES
    if family.source and "*" in "".join(family.source)
]
_MEMORY = {CURRENT, INACTIVE}
_BY_LINE = {"io.stat", "memory.numa_stat", "rdma.current", "misc.current"}
"""Files whose lines differ from VE to VE."""
_MOVING = {"cpu.stat", "cpu.stat.local", "memory.current", "memory.stat", *(f"{k}.pressure" for k in KINDS)}
"""Files that change whenever the VE runs."""


class Place(NamedTuple):
    """Where a figure is shown. ``label``: the value of the family's own label, empty when it has none."""

    family: Family
    label: str = ""


@lru_cache(1 << 14)  # devices come and go
def place(column: Column) -> Place | None:
    """Where a figure is shown; ``None``: nowhere."""
    if family := _EXACT.get(column):
        return Place(family)
    if column.file == memory_stat.FILE and not column.line and (family := memory_stat.family(column.key)):
        return Place(family)
    if column.file == "io.stat" and not DEVICE.fullmatch(column.line):
        return None  # "(unknown)", of which there may be several: the parts of a multipath device, say
    for patterns, family in _PATTERNS:
        matches = [pattern.fullmatch(part) for pattern, part in zip(patterns, column, strict=True)]
        if all(matches):
            label = next(match[1] for match in matches if match and match.groups())
            return Place(family, label.removeprefix("N") if family.label == "node" else label)
    return None


def wanted(family: Family, selection: Selection) -> bool:
    """Whether a family is in the selection."""
    return family.collector in selection.collectors and (selection.profile == "full" or family.core)


@cache
def ask(selection: Selection) -> Ask:
    """What to read of a VE for this selection."""
    chosen = [family for family in FAMILIES if wanted(family, selection)]
    files = [family.source[0] for family in chosen if family.source]
    if WORKING_SET in chosen:
        files += [CURRENT.file, INACTIVE.file]
    if "memory_stat" in selection.collectors and selection.profile == "full":
        files.append(memory_stat.FILE)
    named = re.compile(
        "|".join(re.escape(name).replace(r"\*", r"[0-9]+[KMG]B") for name in dict.fromkeys(files)) or "$."
    )

    @lru_cache(64)  # most VEs have the same files
    def in_files(there: tuple[str, ...]) -> Sequence[Sequence[str]]:
        found = sorted(name for name in there if named.fullmatch(name))
        moving = [name for name in found if name in _MOVING]
        by_line = [name for name in found if name in _BY_LINE]
        still = [name for name in found if name not in _MOVING | _BY_LINE]
        return [part for part in (still, moving, by_line) if part]

    def in_figures(column: Column) -> bool:
        return shown(column, selection) is not None or (WORKING_SET in chosen and column in _MEMORY)

    return Ask(in_files, in_figures, "limits" in selection.collectors, PROCESSES in chosen, selection)


def shown(column: Column, selection: Selection) -> Place | None:
    """Where a figure is shown in this selection; ``None``: nowhere."""
    found = place(column)
    return found if found and wanted(found.family, selection) else None
