"""Turns a frame into the text that Prometheus reads, fast: one join for a whole column of values.

Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rctl.sample.member import Member

from .families import Family
from .frame import INFO, Block, Frame
from .owner import readable


class Labels(NamedTuple):
    """The part of a VE's line after the family's name and own label, up to the value: ``ve="web1"} ``.

    ``info``: the same with the VE's other labels.
    """

    ve: bytes
    info: bytes


class Chunk(NamedTuple):
    """A block as text, and the objects from which it was made."""

    members: Sequence[Member]
    values: Sequence[bytes]
    text: bytes


class Page:
    """Renders frames. Keeps each VE's part of a line, and the text of each block, because most do not change."""

    def __init__(self) -> None:
        self._labels: dict[Member, Labels] = {}
        self._most = 0
        self._heads: dict[bool, dict[Family, bytes]] = {False: {}, True: {}}
        self._chunks: dict[tuple[str, str, int], Chunk] = {}

    def render(self, frame: Frame, openmetrics: bool) -> list[bytes]:
        """The families, in chunks. In OpenMetrics the caller must add ``# EOF``."""
        columns: dict[tuple[int, bool], list[bytes]] = {}
        old, self._chunks = self._chunks, {}
        heads = self._heads[openmetrics]
        pieces: list[bytes] = []
        for family, blocks in frame.items():
            pieces.append(heads.get(family) or heads.setdefault(family, head(family, openmetrics)))
            for number, block in enumerate(blocks):
                key = (family.name, block.label, number)
                chunk = old.get(key)
                if chunk is None or not _same(chunk, block):
                    of = (id(block.members), family is INFO)
                    if (column := columns.get(of)) is None:
                        column = columns[of] = [self._labels_of(member)[family is INFO] for member in block.members]
                    chunk = Chunk(block.members, block.values, text_of(block, column))
                self._chunks[key] = chunk
                pieces.append(chunk.text)
        self._forget(frame)
        return pieces

    def forget_texts(self) -> None:
        """Drop the text of each block, so that the next page is rendered anew."""
        self._chunks.clear()

    def _labels_of(self, member: Member) -> Labels:
        known = self._labels.get(member)
        if known is None:
            known = self._labels[member] = labels_of(member.name, member.info)
        return known

    def _forget(self, frame: Frame) -> None:
        """Drop the parts of removed VEs, once there are twice as many as VEs."""
        if len(self._labels) > self._most:
            lists = {id(block.members): block.members for blocks in frame.values() for block in blocks}
            alive = set().union(*lists.values())
            self._labels = {member: labels for member, labels in self._labels.items() if member in alive}
            self._most = 2 * len(self._labels) + 64


def _same(chunk: Chunk, block: Block) -> bool:
    return (chunk.values is block.values or chunk.values == block.values) and (
        chunk.members is block.members or chunk.members == block.members
    )


def head(family: Family, openmetrics: bool) -> bytes:
    """The lines that describe a family."""
    name, kind = family.full_name, family.kind
    if not openmetrics:
        name, kind = family.sample, "gauge" if kind == "info" else kind
    return f"# HELP {name} {family.help}\n# TYPE {name} {kind}\n".encode()


def escaped(text: str) -> bytes:
    """The value of a label, escaped."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").encode()


def labels_of(name: str, info: Mapping[str, str]) -> Labels:
    """A VE's labels. ``info``: those of the info metric."""
    ve = b've="%b"} ' % escaped(readable(name))
    return Labels(ve, b"".join(b'%b="%b",' % (label.encode(), escaped(text)) for label, text in info.items()) + ve)


def text_of(block: Block, labels: Sequence[bytes]) -> bytes:
    """The lines of a block. Microseconds are shown as seconds by digits appended, without arithmetic."""
    family, count = block.family, len(labels)
    start = family.sample.encode() + b"{"
    for name, value in block.own_labels:
        if value:
            start += b'%b="%b",' % (name.encode(), escaped(value))
    end = b"e-6\n" if family.micro else b"\n"
    parts = [end + start] * (3 * count + 1)
    parts[0] = start
    parts[1::3] = labels
    parts[2::3] = block.values
    parts[-1] = end
    return b"".join(parts)
