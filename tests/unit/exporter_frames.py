"""Frames for the exporter's tests: VEs that need no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from rctl.cgroupfs.forest import Node
from rctl.names.identities import Identities
from rctl.names.identity import Identity
from rctl.names.owners import owner_of
from rctl.sample.member import Member
from rctl_exporter.columns import BY_NAME, shown
from rctl_exporter.families import Family
from rctl_exporter.files_to_read import ask
from rctl_exporter.frame import Block, Frame, frame
from rctl_exporter.owner import info
from rctl_exporter.settings import PROFILES, Selection

NOTHING_KNOWN = Identities(root="/nowhere")
"""No container's name can be read."""
FULL = Selection("full", PROFILES["full"].collectors | {"numa"})


def member(name: str, path: str | None = None, selection: Selection = FULL) -> Member:
    """A VE of this name at a cgroup path; unset: a managed one."""
    owner = owner_of(path or f"/rctl-{name}", lambda _: False, managed=path is None)
    identity = Identity(name, "rctl") if path is None else NOTHING_KNOWN.of(owner)
    node = SimpleNamespace(cgroup=SimpleNamespace(path=owner.path, ino=1))
    return Member(cast("Node", node), name, ask(selection), info(identity, owner.path))


def block(family: str | Family, members: Sequence[Member], values: Sequence[bytes], label: str = "") -> Block:
    """Values of one family."""
    return Block(BY_NAME[family] if isinstance(family, str) else family, label, members, values)


def framed(*blocks: Block) -> Frame:
    """A frame, in which the device 8:0 is sda."""
    return frame(blocks, lambda device: {"8:0": "sda"}.get(device, device))


def family_of(file: str, line: str, key: str, selection: Selection = FULL) -> Any:
    """Where a figure of a file is shown: family and label; ``None``: nowhere."""
    from rctl.sample.layout import FigurePlace

    return shown(FigurePlace(file, line, key), selection)
