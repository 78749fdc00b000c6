"""Which files of a VE the sweep reads, and which figures in them, for a given selection of metrics. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from rctl.cgroupfs.changed_counts import is_noted
from rctl.controllers.pressure import KINDS
from rctl.sample.layout import FigurePlace
from rctl.sample.member import Ask

from . import limit_families, memory_stat
from .columns import CURRENT, FAMILIES, INACTIVE, PROCESSES, WORKING_SET, shown, wanted
from .settings import Selection

_MEMORY = {CURRENT, INACTIVE}
_BY_LINE = {"io.stat", "memory.numa_stat", "rdma.current", "misc.current"}
"""Files whose lines differ between VEs."""
_MOVING = {"cpu.stat", "cpu.stat.local", "memory.current", "memory.stat", *(f"{k}.pressure" for k in KINDS)}
"""Files that change whenever the VE runs."""
_SPARED = frozenset({"memory.peak", "memory.swap.current", "memory.swap.peak", "pids.current", "io.stat"})
"""Files of the profile core that may be opened for each reading: in that profile, memory counts more than time."""


@cache
def ask(selection: Selection) -> Ask:
    """The files and figures to read of a VE with this selection."""
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
        noted = [name for name in found if is_noted(name)]
        still = [name for name in found if name not in _MOVING | _BY_LINE and not is_noted(name)]
        return [tuple(part) for part in (still, noted, moving, by_line) if part]

    def in_figures(column: FigurePlace) -> bool:
        return shown(column, selection) is not None or (WORKING_SET in chosen and column in _MEMORY)

    spared = _SPARED if selection.profile == "core" else frozenset()
    return Ask(in_files, in_figures, limit_families.files(selection), PROCESSES in chosen, selection, spared)
