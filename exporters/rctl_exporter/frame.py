"""One reading of all VEs as columns of values. The fast page and the prometheus_client collector both show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cache, lru_cache
from typing import NamedTuple

from rctl.sample.layout import FigureRow, Layout
from rctl.sample.member import Member
from rctl.sample.sweep import Group

from .columns import BY_NAME, CURRENT, FAMILIES, INACTIVE, PROCESSES, WORKING_SET, Slot, shown, wanted
from .families import Family
from .limit_families import Values
from .settings import Selection

INFO = FAMILIES[0]
_BY_SETTING = (BY_NAME["limit_drift"], BY_NAME["limit_not_enforced"])
_WORDS = re.compile("[ ,]")
_RANK = {family: rank for rank, family in enumerate(FAMILIES)}


class Block(NamedTuple):
    """One family's values for some VEs.

    ``label``: the value of the family's own label; of two, with a comma between them. ``values``: one for each member,
    in the kernel's digits (see ``Family.micro``).
    """

    family: Family
    label: str
    members: Sequence[Member]
    values: Sequence[bytes]

    @property
    def own_labels(self) -> list[tuple[str, str]]:
        """The names and values of the family's own labels."""
        names = self.family.labels
        return list(zip(names, self.label.split(",") if len(names) > 1 else [self.label], strict=False))


Frame = Mapping[Family, list[Block]]
"""Blocks by family, in the order of the page."""


class Figures:
    """The blocks of groups. Keeps the last ones: if a group did not change, its blocks are the same objects."""

    def __init__(self) -> None:
        self._known: dict[Layout, tuple[list[Member], list[FigureRow], list[Block]]] = {}

    def blocks(self, groups: Iterable[Group]) -> list[Block]:
        """The blocks with the figures of all groups."""
        known, self._known = self._known, {}
        for layout, members, rows in groups:
            old = known.get(layout)
            if old and old[1] == rows and old[0] == members:
                self._known[layout] = old
            else:
                members = old[0] if old and old[0] == members else members
                self._known[layout] = (members, rows, _figures(layout, members, rows))
        return [block for _, _, blocks in self._known.values() for block in blocks]


def frame(blocks: Iterable[Block], disk_name: Callable[[str], str]) -> Frame:
    """Combine blocks into a frame. ``disk_name``: a device's name by ``MAJOR:MINOR``; called once for each device."""
    by_family: dict[Family, list[Block]] = {}
    name_of = cache(disk_name)
    for block in blocks:
        if block.family.label == "device":
            block = block._replace(label=name_of(block.label))
        elif block.family in _BY_SETTING and " " in block.label:
            setting, device, *reason = _WORDS.split(block.label)
            block = block._replace(label=",".join([f"{setting} {name_of(device)}", *reason]))
        by_family.setdefault(block.family, []).append(block)
    return {family: by_family[family] for family in _in_order(tuple(by_family))}


def identity_blocks(members: Iterable[Member]) -> list[Block]:
    """The blocks with the identity of the VEs."""
    those = [member for member in members if wanted(INFO, selection_of(member))]
    if not those:
        return []
    return [Block(INFO, "", those, [b"1"] * len(those))]


def process_blocks(processes: Mapping[Member, int]) -> list[Block]:
    """The blocks with the number of processes of each VE."""
    if not processes:
        return []
    return [Block(PROCESSES, "", list(processes), [b"%d" % number for number in processes.values()])]


def limit_blocks(limits: Mapping[Member, Values]) -> list[Block]:
    """The blocks with the limits of all VEs."""
    alike: dict[tuple[int, int], tuple[list[Member], list[FigureRow], FigureRow]] = {}  # most VEs have the same values
    shapes: dict[tuple[Slot, ...], tuple[list[Member], list[FigureRow]]] = {}
    for member, values in limits.items():
        key = (id(values), id(member.ask.tag))
        if key not in alike:
            selection = selection_of(member)
            shown = {where: value for where, value in values.items() if wanted(where.family, selection)}
            members, rows = shapes.setdefault(tuple(shown), ([], []))
            alike[key] = members, rows, tuple(shown.values())
        members, rows, row = alike[key]
        members.append(member)
        rows.append(row)
    parts: dict[Slot, list[tuple[list[Member], FigureRow]]] = {}
    for places, (members, rows) in shapes.items():
        for where, column in zip(places, zip(*rows, strict=True), strict=True):
            parts.setdefault(where, []).append((members, column))
    return [Block(where.family, where.label, *_joined(those)) for where, those in parts.items()]


def _joined(parts: list[tuple[list[Member], FigureRow]]) -> tuple[list[Member], Sequence[bytes]]:
    if len(parts) == 1:
        return parts[0]
    return [member for members, _ in parts for member in members], [value for _, column in parts for value in column]


def without(gone: Set[Member], blocks: Iterable[Block]) -> list[Block]:
    """The blocks without VEs that were removed during the reading; their figures are not valid."""
    found = []
    for block in blocks:
        left = [i for i, member in enumerate(block.members) if member not in gone]
        if left:
            found.append(
                block._replace(members=[block.members[i] for i in left], values=[block.values[i] for i in left])
            )
    return found


def selection_of(member: Member) -> Selection:
    """The selection of metrics for a VE."""
    selection = member.ask.tag
    assert isinstance(selection, Selection)
    return selection


def _figures(layout: Layout, members: list[Member], rows: list[FigureRow]) -> list[Block]:
    columns = dict(zip(layout.columns, zip(*rows, strict=True), strict=True))
    selection = selection_of(members[0])
    blocks = [
        Block(found.family, found.label, members, values)
        for column, values in columns.items()
        if (found := shown(column, selection))
    ]
    if CURRENT in columns and INACTIVE in columns and wanted(WORKING_SET, selection):
        pairs = zip(columns[CURRENT], columns[INACTIVE], strict=True)
        blocks.append(Block(WORKING_SET, "", members, [b"%d" % max(0, int(all_) - int(idle)) for all_, idle in pairs]))
    return blocks


@lru_cache(16)  # mostly the same ones each time
def _in_order(families: tuple[Family, ...]) -> list[Family]:
    return sorted(families, key=lambda family: (_RANK.get(family, len(_RANK)), family.name))
