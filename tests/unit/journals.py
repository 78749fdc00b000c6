"""A journal for tests, and the folder that it lies in."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from rctl.adjust.records.journal import Journal
from rctl.adjust.records.record_format import Record
from rctl.adjust.state_folder import State
from rctl.adjust.steps import Set
from tests.unit.fake_calls import Operation
from tests.unit.fake_kernel import FakeKernel

ID = "20261122-101500-000001"
NAME = f"{ID}.json"
LIMIT = Set("/rctl-web1", "pids.max", "max", "50")
RECORD = Record(ID, 1795342500.25, "b007", "rctl set web1", {"/": 1, "/rctl-web1": 7}, (LIMIT,))
LONGER = msgspec.structs.replace(RECORD, steps=(LIMIT, Set("/rctl-web1", "memory.low", "0", "4096")))


def here(state: State) -> list[str]:
    """The names in the folder of the journals."""
    return sorted(os.listdir(state.journals))


def plant(state: State, content: bytes, name: str = NAME, mode: int = 0o600) -> Path:
    place = Path(state.journals, name)
    place.write_bytes(content)
    place.chmod(mode)
    return place


def adopted(state: State, name: str = NAME) -> Journal:
    journal = Journal.adopt(state, name)
    assert journal is not None
    return journal


def failing(kernel: FakeKernel, kind: str, number: int) -> None:
    """The disk answers so to what the journal does of this kind."""

    def broken(operation: Operation) -> int | None:
        return number if operation.kind == f"journal {kind}" else None

    kernel.broken = broken
