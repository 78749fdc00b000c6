"""How an adjustment ends: decided on disk before, moved into the history after, and left to recovery in between."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl.adjust.records import journal as journal_file
from rctl.adjust.records.history import append, history
from rctl.adjust.records.journal import (
    Journal,
    NewerJournalError,
    left_open,
    peek,
    unwritten,
)
from rctl.adjust.records.record_format import VERSION, encode
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Set
from rctl.errors import RctlError
from tests.unit.fake_kernel import FakeKernel, state_folder
from tests.unit.journals import ID, LONGER, NAME, RECORD, adopted, failing, here, plant


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


@pytest.fixture
def kernel() -> Iterator[FakeKernel]:
    """Counts what the journal asks of the disk, and lets it fail."""
    kernel = FakeKernel()
    with kernel.installed():
        yield kernel


# How it ends is written down before


def test_what_was_extended_is_taken_over_with_all_that_follows(state: State) -> None:
    journal = Journal(state, RECORD)
    journal.extend(LONGER)
    assert journal.record == LONGER
    journal.abandon()
    assert adopted(state).record == LONGER


def test_an_extension_that_a_crash_tore_counts_for_none(state: State) -> None:
    plant(state, encode(RECORD) + b"\n\n" + encode(LONGER)[:-9])
    assert adopted(state).record == RECORD


def test_what_comes_after_a_torn_line_counts(state: State) -> None:
    plant(state, encode(RECORD) + b"\n\n" + encode(LONGER)[:-9] + b"\n" + encode(LONGER) + b"\n")
    assert adopted(state).record == LONGER


def test_an_extension_by_a_newer_rctl_is_not_passed_over(state: State) -> None:
    newer = msgspec.structs.replace(LONGER, version=VERSION + 1)
    plant(state, encode(RECORD) + b"\n" + encode(newer) + b"\n")
    with pytest.raises(NewerJournalError, match=rf"{NAME}: is of a newer rctl"):
        Journal.adopt(state, NAME)


@pytest.mark.parametrize("way", ["back", "forward"])
def test_what_was_decided_is_known_to_whoever_takes_over(state: State, way: str) -> None:
    journal = Journal(state, RECORD)
    assert (journal.back, journal.forward, journal.begun) == (False, False, False)
    journal.decide_back() if way == "back" else journal.decide_forward()
    assert (journal.back, journal.forward, journal.begun) == (way == "back", way == "forward", way == "back")
    journal.extend(LONGER)
    journal.abandon()
    later = adopted(state)
    assert (later.back, later.forward, later.record, later.ended) == (way == "back", way == "forward", LONGER, False)


def test_a_decision_is_on_disk_when_it_is_made_and_is_written_once(state: State, kernel: FakeKernel) -> None:
    journal = Journal(state, RECORD)
    begin = len(kernel.operations)
    journal.decide_back()
    assert [operation.kind for operation in kernel.operations[begin:]] == ["journal write", "journal fsync"]
    journal.decide_back()
    assert len(kernel.operations) == begin + 2


def test_a_decision_comes_after_a_line_that_a_full_disk_tore(state: State, kernel: FakeKernel) -> None:
    journal = Journal(state, RECORD)
    with Path(state.journals, NAME).open("ab") as file:
        file.write(encode(LONGER)[:9])
    journal.decide_back()
    journal.abandon()
    later = adopted(state)
    assert (later.back, later.record) == (True, RECORD)


def test_to_go_forward_or_on_needs_a_disk_that_takes_it(state: State, kernel: FakeKernel) -> None:
    journal = Journal(state, RECORD)
    failing(kernel, "write", errno.ENOSPC)
    for write in (journal.decide_forward, lambda: journal.extend(LONGER)):
        with pytest.raises(RctlError, match=rf"{NAME}: nothing was changed: No space left on device\. Make room there"):
            write()
    assert (journal.forward, journal.record) == (False, RECORD)
    with pytest.raises(OSError, match="No space"):
        journal.decide_back()
    assert (journal.back, journal.begun) == (False, True)


def test_the_history_has_the_steps_that_are_shown_and_the_journal_those_that_were_planned(state: State) -> None:
    journal = Journal(state, RECORD)
    shown = (Set("/rctl-web1", "pids.max", "max", "49"),)
    journal.as_shown(shown)
    assert peek(state, NAME) == RECORD
    journal.close(done=True)
    assert [record.steps for record in history(state)] == [shown]


def test_the_history_has_the_record_as_it_was_extended_or_taken_over(state: State) -> None:
    journal = Journal(state, RECORD)
    journal.extend(LONGER)
    journal.close(done=True)
    Journal(state, msgspec.structs.replace(LONGER, id="2")).abandon()
    adopted(state, "2.json").close(done=True)
    assert [(record.id, record.steps) for record in history(state)] == [(ID, LONGER.steps), ("2", LONGER.steps)]


# A history that does not take it


def in_the_way(state: State) -> Path:
    """The history cannot be written: a folder has its name."""
    place = Path(state.history)
    place.mkdir()
    return place


def test_what_the_history_does_not_take_stays_as_ended_until_it_does(state: State) -> None:
    folder = in_the_way(state)
    (note,) = Journal(state, RECORD).close(done=True)
    assert note == (
        f"{state.history}: cannot be written: Is a directory. Look at it, then run rctl recover; this adjustment stands"
    )
    assert (here(state), left_open(state), unwritten(state)) == ([f"{NAME}.ended"], [], [f"{NAME}.ended"])
    journal = adopted(state, f"{NAME}.ended")
    assert journal.ended
    assert len(journal.close(done=True)) == 1
    assert here(state) == [f"{NAME}.ended"]
    folder.rmdir()
    assert adopted(state, f"{NAME}.ended").close(done=True) == []
    assert (here(state), history(state)) == ([], [RECORD])


def test_a_full_disk_has_its_own_remedy(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "append", _refusing(OSError(errno.ENOSPC, "No space left on device")))
    (note,) = Journal(state, RECORD).close(done=True)
    assert "cannot be written: No space left on device. Make room there, then run rctl recover" in note


def test_a_folder_that_is_no_longer_safe_is_told_as_such(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "append", _refusing(RctlError("/x: must be a folder that only you can write")))
    (note,) = Journal(state, RECORD).close(done=True)
    assert note == (
        f"{state.history}: cannot be written: /x: must be a folder that only you can write, then run rctl recover; "
        "this adjustment stands"
    )


def test_where_it_cannot_even_be_renamed_it_stays_as_it_is(state: State, kernel: FakeKernel) -> None:
    in_the_way(state)
    journal = Journal(state, RECORD)
    failing(kernel, "rename", errno.EROFS)
    assert len(journal.close(done=True)) == 1
    assert (here(state), journal.open) == ([NAME], False)


def test_what_was_put_back_leaves_nothing_even_if_a_child_has_named_it_ended(state: State) -> None:
    journal = Journal(state, RECORD)
    os.rename(f"{state.journals}/{NAME}", f"{state.journals}/{NAME}.ended")
    assert journal.close(done=False) == []
    assert (here(state), history(state)) == ([], [])


def test_what_was_told_as_done_and_was_put_back_after_all_counts_as_undone(state: State) -> None:
    journal = Journal(state, RECORD)
    journal.close(done=True)
    journal.revoke()
    *_, last = history(state)
    assert (last.undoes, last.steps, last.inodes) == (ID, (), {})
    assert (last.boot_id, last.command) == ("b007", "rctl set web1")
    assert last.id != ID
    assert abs(last.time - os.stat(state.history).st_mtime) < 60


def test_where_the_history_cannot_be_written_that_fails_nothing(state: State) -> None:
    journal = Journal(state, RECORD)
    in_the_way(state)
    journal.close(done=True)
    journal.revoke()
    assert history_lines(state) == 0


def history_lines(state: State) -> int:
    return sum(Path(path).is_file() for path in (state.history, f"{state.history}.1"))


# An interruption


def test_what_was_not_begun_needs_no_journal(state: State) -> None:
    journal = Journal(state, RECORD)
    journal.let_go(KeyboardInterrupt())
    assert (here(state), journal.open, history(state)) == ([], False, [])


@pytest.mark.parametrize("begun", ["finished", "undone"])
def test_what_was_begun_is_left_to_recover_and_the_error_says_so(state: State, begun: str) -> None:
    journal = Journal(state, RECORD)
    setattr(journal, begun, True)
    error = KeyboardInterrupt()
    journal.let_go(error)
    assert (here(state), journal.open) == ([NAME], False)
    assert error.__notes__ == ["an adjustment under way is half done: rctl recover completes it"]


def test_without_an_error_what_was_begun_stays_open(state: State) -> None:
    journal = Journal(state, RECORD)
    journal.finished = True
    journal.let_go(None)
    assert journal.open
    journal.abandon()


def test_of_one_that_is_closed_there_is_nothing_to_say(state: State) -> None:
    journal = Journal(state, RECORD)
    journal.finished = True
    journal.close(done=True)
    error = KeyboardInterrupt()
    journal.let_go(error)
    assert (getattr(error, "__notes__", []), len(history(state))) == ([], 1)


# Whether the history has it already


def told_at(state: State, *times: float) -> None:
    """Adjustments in the history, begun at these times."""
    for number, time in enumerate(times):
        other = msgspec.structs.replace(RECORD, id=f"other-{number}", time=time)
        append(state, state.history, encode(other))


@pytest.mark.parametrize(
    ("beside", "found"),
    [
        ([-7200.0] * 2, True),
        ([-7200.0] * 3, False),
        ([-3601.0] * 3, False),
        ([-3600.0] * 3, True),
        ([7200.0] * 3, True),
    ],
)
def test_it_is_looked_for_until_three_in_a_row_are_older_by_more_than_an_hour(
    state: State, monkeypatch: pytest.MonkeyPatch, beside: list[float], found: bool
) -> None:
    """In the order of the history, for the clock may have been set back since. A hundred, unless a test says three."""
    monkeypatch.setattr(journal_file, "_OLDER", 2)
    journal = Journal(state, RECORD)
    append(state, state.history, encode(RECORD))
    told_at(state, *(RECORD.time + seconds for seconds in beside))
    assert journal.told() is found


def test_one_that_the_history_has_not_is_not_told(state: State) -> None:
    told_at(state, RECORD.time)
    assert not Journal(state, RECORD).told()


def test_a_history_that_cannot_be_read_tells_nothing(state: State) -> None:
    in_the_way(state)
    assert not Journal(state, RECORD).told()


def _refusing(error: Exception) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise error

    return refuse
