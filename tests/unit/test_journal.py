"""The journal of an adjustment under way, and the history of those that ended."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rctl.adjust.records import log_files
from rctl.adjust.records.history import Record, history
from rctl.adjust.records.journal import Journal, left_open, new_id
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Enable, Reclaim, Set
from rctl.errors import RctlError
from tests.unit.fake_kernel import state_folder

STEPS = (
    Enable("/", ("cpu", "memory")),
    Set("/rctl-web1", "memory.high", "max", "1048576", why="holds the VE back"),
    Reclaim("/rctl-web1", 1048576, 2097152),
    Set("/rctl-web1", "io.max", "rbps=max", "rbps=1", key="8:0", exact=False),
    Set("/rctl-web1", "cpu.idle", "0", "1", disturbed=(("cpu.weight", "200"),)),
)


def record(name: str = "20261122-101500-000001", undoes: str | None = None) -> Record:
    return Record(name, 1795342500.25, "b007", "rctl set web1", {"/": 1, "/rctl-web1": 7}, STEPS, undoes)


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


def the_file(state: State) -> Path:
    (name,) = left_open(state)
    return Path(state.journals, name)


# The journal


def test_a_journal_is_complete_on_disk_as_soon_as_it_is_open(state: State) -> None:
    Journal(state, record())
    assert msgspec.json.decode(the_file(state).read_bytes(), type=Record) == record()


def test_a_journal_is_readable_by_its_owner_alone(state: State) -> None:
    Journal(state, record())
    assert the_file(state).stat().st_mode & 0o777 == 0o600


def test_a_journal_that_ended_well_moves_into_the_history(state: State) -> None:
    Journal(state, record()).close(done=True)
    assert left_open(state) == []
    assert list(history(state)) == [record()]


def test_a_journal_that_was_rolled_back_leaves_nothing(state: State) -> None:
    Journal(state, record()).close(done=False)
    assert left_open(state) == []
    assert list(history(state)) == []


def test_a_journal_whose_process_lives_is_not_taken_over(state: State) -> None:
    held = Journal(state, record())
    assert Journal.adopt(state, left_open(state)[0]) is None
    held.abandon()


def test_a_journal_that_nobody_holds_is_taken_over_as_it_was(state: State) -> None:
    Journal(state, record()).abandon()
    adopted = Journal.adopt(state, left_open(state)[0])
    assert adopted is not None
    assert adopted.record == record()


def test_a_journal_that_just_ended_is_nothing_to_take_over(state: State) -> None:
    assert Journal.adopt(state, "20261122-101500-000001.json") is None


@pytest.mark.parametrize("content", [b"", b'{"id": "2026', b"\x00\xff\x00", b"[]", b'{"id": 1}', b"hello"])
def test_a_file_that_is_no_journal_is_named_and_left_where_it_is(state: State, content: bytes) -> None:
    place = Path(state.journals, "x.json")
    place.write_bytes(content)
    with pytest.raises(RctlError, match=r"x\.json: not a journal of rctl: "):
        Journal.adopt(state, "x.json")
    assert place.read_bytes() == content


def test_a_link_in_the_place_of_a_journal_is_not_followed(state: State, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(msgspec.json.encode(record()))
    os.symlink(tmp_path / "elsewhere", f"{state.journals}/x.json")
    with pytest.raises(RctlError, match=r"x\.json"):
        Journal.adopt(state, "x.json")


def test_drafts_that_a_crash_left_are_no_journals(state: State) -> None:
    Path(state.journals, ".20261122-101500-000001.77").write_bytes(b'{"id"')
    assert left_open(state) == []


def test_open_journals_are_listed_oldest_first(state: State) -> None:
    for name in ("20261122-2", "20261122-1", "20261122-3"):
        Journal(state, record(name)).abandon()
    assert left_open(state) == ["20261122-1.json", "20261122-2.json", "20261122-3.json"]


def test_without_a_state_folder_no_journal_is_open(tmp_path: Path) -> None:
    assert left_open(State(str(tmp_path / "run"), str(tmp_path))) == []


def test_ids_sort_by_time_and_are_read_as_one() -> None:
    first, second = new_id(), new_id()
    assert first[:19] <= second[:19]
    assert first != second
    assert re.fullmatch(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{8}", first)


# The history


def test_the_history_keeps_the_order_oldest_first(state: State) -> None:
    for name in ("a", "b", "c"):
        Journal(state, record(name)).close(done=True)
    assert [r.id for r in history(state)] == ["a", "b", "c"]


def test_without_a_history_there_is_none(state: State) -> None:
    assert list(history(state)) == []


def test_a_line_that_is_no_record_is_left_out(state: State) -> None:
    Journal(state, record("a")).close(done=True)
    with open(state.history, "ab") as file:
        file.write(b"\xff\x00 garbage\n[]\n\n")
    Journal(state, record("b")).close(done=True)
    assert [r.id for r in history(state)] == ["a", "b"]


def test_a_line_that_a_crash_tore_does_not_spoil_the_next(state: State) -> None:
    Path(state.history).write_bytes(msgspec.json.encode(record("a"))[:40])
    Journal(state, record("b")).close(done=True)
    assert [r.id for r in history(state)] == ["b"]


def test_a_history_that_grew_too_large_starts_anew_and_the_old_is_still_read(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "_PART", 1)
    Journal(state, record("a")).close(done=True)
    monkeypatch.setattr(log_files, "_PART", 1 << 20)
    Journal(state, record("b")).close(done=True)
    assert os.path.exists(state.history + ".1")
    assert Path(state.history).read_bytes().count(b"\n") == 1
    assert [r.id for r in history(state)] == ["a", "b"]


def test_a_history_that_cannot_be_read_is_an_error_with_its_name(state: State) -> None:
    os.mkdir(state.history)
    with pytest.raises(RctlError, match=r"history\.jsonl: cannot be read"):
        list(history(state))
