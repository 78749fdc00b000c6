"""The checkpoint of desired limits: written before a part of the history goes, in one step, and never believed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from rctl.adjust.records import checkpoint, history, log_files
from rctl.adjust.records.checkpoint import NAME, desired_limits
from rctl.adjust.records.record_format import Record, encode
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Set
from rctl.errors import RctlError
from tests.unit.fake_kernel import state_folder

_numbers = count(1)


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as found:
        yield make(found)


def adjusted(state: State, file: str = "pids.max", new: str = "5", path: str = "/rctl-web1") -> str:
    number = next(_numbers)
    record = Record(f"id{number}", float(number), "boot", "rctl set", {path: 7}, (Set(path, file, "max", new),))
    history.append(state, state.history, encode(record))
    return record.id


def values(state: State) -> dict[str, dict[str, str]]:
    return {
        name: {entry: layer.value for entry, layer in ve.present("boot").items()}
        for name, ve in desired_limits(state).ves.items()
    }


def test_without_a_history_nothing_is_desired(tmp_path: Path) -> None:
    assert desired_limits(State(f"{tmp_path}/run", f"{tmp_path}/nowhere")).ves == {}
    assert not (tmp_path / "nowhere").exists()


def test_what_parts_of_the_history_held_that_are_gone_is_still_desired(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given limits set long ago, when their part of the history is removed, then they are desired as before."""
    monkeypatch.setattr(log_files, "_PART", 1000)
    monkeypatch.setattr(log_files, "_MOST_LINES", 12)
    first = adjusted(state, "memory.max", "4096", "/rctl-old")
    for number in range(60):
        adjusted(state, "pids.max", str(number))
    assert first not in {record.id for record in history.latest(state)}
    assert values(state) == {"/rctl-old": {"memory.max": "4096"}, "/rctl-web1": {"pids.max": "59"}}


def test_a_part_stays_if_there_can_be_no_checkpoint(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_PART", 1000)
    monkeypatch.setattr(log_files, "_MOST_LINES", 12)
    (Path(state.keep) / NAME).mkdir()
    first = adjusted(state)
    for _ in range(60):
        adjusted(state)
    assert first in {record.id for record in history.latest(state)}


def test_a_reader_of_many_adjustments_writes_one_and_the_next_reads_the_rest(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_LONG", 10)
    last = [adjusted(state, new=str(number)) for number in range(20)][-1]
    before = values(state)
    assert json.loads((Path(state.keep) / NAME).read_text())["last"] == last
    read: list[bytes] = []
    monkeypatch.setattr(checkpoint, "decode", lambda line: read.append(line) or _decode(line))
    assert values(state) == before
    assert read == [], "not even the newest adjustment, which is in the checkpoint"


_decode = checkpoint.decode


def test_a_newer_checkpoint_is_not_replaced(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a slow reader, when another writes a checkpoint and removes parts meanwhile, then that one stays."""
    monkeypatch.setattr(checkpoint, "_LONG", 10)
    for _ in range(20):
        adjusted(state)
    real, newer = log_files.locked, []

    def meanwhile(folder: int, name: str):  # type: ignore[no-untyped-def]
        if not newer:
            newer.append(adjusted(state))
            desired_limits(state)
        return real(folder, name)

    monkeypatch.setattr(log_files, "locked", meanwhile)
    desired_limits(state)
    assert json.loads((Path(state.keep) / NAME).read_text())["last"] == newer[0]


def test_parts_that_go_while_they_are_read_are_read_again(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_PART", 1000)
    for number in range(20):
        adjusted(state, path=f"/rctl-web{number}")
    expected, real, gone = values(state), log_files.backwards, []

    def slow(folder: int, name: str) -> Iterator[bytes]:
        if not gone:
            gone.extend(log_files.parts(folder, name))
            checkpoint.before_removal(state, folder, gone, [])
            for part in gone:
                os.unlink(part, dir_fd=folder)
        return real(folder, name)

    monkeypatch.setattr(log_files, "backwards", slow)
    assert values(state) == expected
    assert gone


def test_a_checkpoint_of_a_newer_rctl_is_refused_by_name(state: State) -> None:
    adjusted(state)
    planted(state, {"version": 9, "last": "id1", "what": "comes"})
    with pytest.raises(RctlError, match=rf"{NAME}: is of a newer rctl \(version 9, this rctl knows 2\). Use that rctl"):
        desired_limits(state)


def test_an_adjustment_of_a_newer_rctl_is_refused_by_name(state: State) -> None:
    history.append(state, state.history, b'{"version":99,"id":"x"}')
    with pytest.raises(RctlError, match=r"an adjustment is of a newer rctl .* desired limits are not known"):
        desired_limits(state)


def test_lines_that_are_no_records_are_passed_over(state: State) -> None:
    adjusted(state)
    history.append(state, state.history, b"torn")
    assert values(state) == {"/rctl-web1": {"pids.max": "5"}}


GOOD = {
    "version": 1, "last": "id1", "boot": "boot", "timers": {},
    "ves": {"/rctl-web1": {"path": "/rctl-web1", "entries": {"pids.max": {"layers": [
        {"id": "id1", "time": 1.0, "value": "5", "old": "max"}]}}}},
}  # fmt: skip
LAYERS = '{"id": "id1", "time": 1.0, "value": "5", "old": "max"}'
BAD = {
    "no object": "[]",
    "no version": json.dumps(GOOD).replace('"version": 1, ', ""),
    "a path that leaves": json.dumps(GOOD).replace('"path": "/rctl-web1"', '"path": "/../x"'),
    "a file that moves processes": json.dumps(GOOD).replace("pids.max", "cgroup.procs"),
    "a file outside": json.dumps(GOOD).replace("pids.max", "../../x"),
    "a value that is none": json.dumps(GOOD).replace('"5"', '"five"'),
    "an id that is a path": json.dumps(GOOD).replace('"id": "id1"', '"id": "../x"'),
    "a field that is unknown": json.dumps(GOOD | {"more": 1}),
    "no JSON": "{",
}


@pytest.mark.parametrize("kind", BAD)
def test_what_no_rctl_wrote_is_refused_in_one_line(state: State, kind: str) -> None:
    planted(state, GOOD)
    assert values(state) == {"/rctl-web1": {"pids.max": "5"}}
    planted(state, BAD[kind])
    with pytest.raises(RctlError, match=r"no checkpoint of rctl: .*Look at it, then remove it") as caught:
        desired_limits(state)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_others_may_write_is_refused(state: State) -> None:
    planted(state, GOOD)
    (Path(state.keep) / NAME).chmod(0o666)
    with pytest.raises(RctlError, match="others may write to it"):
        desired_limits(state)


def planted(state: State, content: object) -> None:
    place = Path(state.keep) / NAME
    place.write_text(content if isinstance(content, str) else json.dumps(content))
    place.chmod(0o600)
