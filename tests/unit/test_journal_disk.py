"""The journal where the disk fails, where others put files of their own, and how the end is written down."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl.adjust.records import journal as journal_file
from rctl.adjust.records.history import append, history
from rctl.adjust.records.journal import (
    ForeignError,
    Journal,
    NewerJournalError,
    left_open,
    new_id,
    peek,
    set_aside,
    sweep,
    unwritten,
)
from rctl.adjust.records.record_format import VERSION, Record, encode
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Make, Set
from rctl.errors import KernelError, RctlError
from tests.unit.fake_calls import INTERRUPT, Operation
from tests.unit.fake_kernel import FakeKernel, state_folder

ID = "20261122-101500-000001"
NAME = f"{ID}.json"
LIMIT = Set("/rctl-web1", "pids.max", "max", "50")
RECORD = Record(ID, 1795342500.25, "b007", "rctl set web1", {"/": 1, "/rctl-web1": 7}, (LIMIT,))
LONGER = msgspec.structs.replace(RECORD, steps=(LIMIT, Set("/rctl-web1", "memory.low", "0", "4096")))


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


# Written


def test_a_journal_has_its_name_only_when_it_is_on_disk_and_the_name_is_too(state: State, kernel: FakeKernel) -> None:
    Journal(state, RECORD).abandon()
    done = [operation.kind.removeprefix("journal ") for operation in kernel.operations]
    assert done == ["open", "write", "fsync", "link", "unlink", "fsync"]
    assert here(state) == [NAME]
    assert Path(state.journals, NAME).read_bytes() == encode(RECORD) + b"\n"


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "No space left on device. Make room there"),
        (errno.EDQUOT, "Disk quota exceeded. Make room there"),
        (errno.EROFS, "Read-only file system. Set RCTL_STATE to a folder that can be written"),
    ],
)
@pytest.mark.parametrize("kind", ["open", "write", "fsync", "link", "unlink"])
def test_a_journal_that_cannot_be_written_is_an_error_with_its_remedy_and_leaves_nothing(
    state: State, kernel: FakeKernel, number: int, cause: str, kind: str
) -> None:
    failing(kernel, kind, number)
    if kind == "unlink":  # nor can what was begun be taken away, then
        kernel.broken = lambda _: None
        kernel.faults = {4: number}
    with pytest.raises(RctlError) as caught:
        Journal(state, RECORD)
    assert str(caught.value) == f"{state.journals}/{NAME}: nothing was changed: {cause}"
    assert here(state) == []


def test_a_journal_of_the_same_id_stays_as_it_is(state: State) -> None:
    there = plant(state, b"somebody else's")
    with pytest.raises(RctlError, match=r"nothing was changed: File exists\. Try again$"):
        Journal(state, RECORD)
    assert (here(state), there.read_bytes()) == ([NAME], b"somebody else's")


def test_a_draft_of_the_same_name_stays_as_it_is(state: State) -> None:
    draft = plant(state, b"somebody else's", f".{ID}.{os.getpid()}")
    with pytest.raises(RctlError, match=r"nothing was changed: File exists\. Try again$"):
        Journal(state, RECORD)
    assert draft.read_bytes() == b"somebody else's"


@pytest.mark.parametrize("at", range(6))
def test_ctrl_c_while_it_is_written_leaves_nothing(state: State, kernel: FakeKernel, at: int) -> None:
    kernel.faults = {at: INTERRUPT}
    with pytest.raises(KeyboardInterrupt):
        Journal(state, RECORD)
    assert here(state) == []


def test_a_journal_is_open_until_it_is_closed_or_left(state: State) -> None:
    journal = Journal(state, RECORD)
    assert journal.open
    journal.abandon()
    assert not journal.open
    journal = adopted(state)
    assert journal.open
    journal.close(done=True)
    assert not journal.open


def test_an_id_says_when_the_adjustment_began_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file.time, "time", lambda: 1795342500.25)
    assert new_id()[:20] == "20261122-101500-250-"


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


# What is no journal, or not this one


@pytest.mark.parametrize("look", [Journal.adopt, peek])
@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (encode(RECORD), 0o666, "not a journal of rctl: others may write to it"),
        (
            encode(msgspec.structs.replace(RECORD, id="2")),
            0o600,
            f"not a journal of rctl: its id is 2, {'which is not its name'}",
        ),
        (encode(msgspec.structs.replace(RECORD, version=VERSION + 1)), 0o600, "is of a newer rctl (record version "),
        (b"{}", 0o600, "not a journal of rctl: Object missing required field"),
    ],
)
def test_the_reason_is_told_with_the_files_name(
    state: State, look: Callable[[State, str], object], content: bytes, mode: int, reason: str
) -> None:
    plant(state, content, mode=mode)
    with pytest.raises(ForeignError) as caught:
        look(state, NAME)
    assert str(caught.value).startswith(f"{state.journals}/{NAME}: {reason}")


@pytest.mark.parametrize("look", [Journal.adopt, peek])
def test_a_file_larger_than_any_journal_is_not_read(
    state: State, monkeypatch: pytest.MonkeyPatch, look: Callable[[State, str], object]
) -> None:
    content = encode(RECORD) + b"\n"
    monkeypatch.setattr(journal_file, "_LARGEST", len(content))
    plant(state, content)
    assert look(state, NAME)
    plant(state, content + b"\n", "x.json")
    with pytest.raises(ForeignError) as caught:
        look(state, "x.json")
    assert str(caught.value) == f"{state.journals}/x.json: not a journal of rctl: has {len(content) + 1} bytes"


@pytest.mark.parametrize("look", [Journal.adopt, peek])
def test_what_cannot_be_opened_is_no_journal_unless_a_limit_of_this_process_was_reached(
    state: State, kernel: FakeKernel, look: Callable[[State, str], object]
) -> None:
    plant(state, encode(RECORD))
    if look is Journal.adopt:
        failing(kernel, "open", errno.ELOOP)
        with pytest.raises(ForeignError, match=rf"^{state.journals}/{NAME}: not a journal of rctl: Too many levels of"):
            look(state, NAME)
        failing(kernel, "open", errno.EMFILE)
    else:
        failing(kernel, "open", errno.EMFILE)
    with pytest.raises(KernelError) as caught:
        look(state, NAME)
    assert (caught.value.path, caught.value.file, caught.value.value) == (f"{state.journals}/{NAME}", "", "")
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("kind", ["link", "fifo"])
@pytest.mark.parametrize("look", [Journal.adopt, peek])
def test_neither_a_link_is_followed_nor_a_fifo_waited_for(
    state: State, tmp_path: Path, look: Callable[[State, str], object], kind: str
) -> None:
    (tmp_path / "elsewhere").write_bytes(encode(RECORD))
    if kind == "link":
        os.symlink(tmp_path / "elsewhere", f"{state.journals}/{NAME}")
    else:
        os.mkfifo(f"{state.journals}/{NAME}", 0o600)
    with pytest.raises(ForeignError, match=r"Too many levels|is no regular file"):
        look(state, NAME)


def test_what_has_gone_is_nothing(state: State) -> None:
    assert (Journal.adopt(state, NAME), peek(state, NAME)) == (None, None)


@pytest.mark.parametrize("again", ["", "another", "a link to it"])
def test_one_that_ends_while_it_is_taken_over_is_nothing_to_take_over(
    state: State, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """``again``: what has its name by then."""
    there, lock = plant(state, encode(RECORD)), fcntl.flock

    def flock(fd: int, how: int) -> None:
        there.rename(f"{there}.old")
        if again == "another":
            plant(state, encode(RECORD))
        elif again:
            there.symlink_to(f"{there}.old")
        lock(fd, how)

    monkeypatch.setattr(journal_file.fcntl, "flock", flock)
    assert Journal.adopt(state, NAME) is None


def test_a_journal_is_read_by_others_while_its_process_lives(state: State) -> None:
    living = Journal(state, RECORD)
    assert peek(state, NAME) == RECORD
    assert Journal.adopt(state, NAME) is None
    assert living.open
    living.abandon()


def test_whoever_takes_over_holds_it(state: State) -> None:
    plant(state, encode(RECORD))
    first = adopted(state)
    assert Journal.adopt(state, NAME) is None
    first.abandon()
    assert Journal.adopt(state, NAME) is not None


def test_no_descriptor_is_left_open(state: State, kernel: FakeKernel) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    plant(state, b"{}", "bad.json")
    begin = descriptors()
    Journal(state, RECORD).close(done=True)
    Journal(state, RECORD).close(done=False)
    Journal(state, RECORD).let_go(None)
    held = Journal(state, RECORD)
    assert Journal.adopt(state, NAME) is None
    with pytest.raises(RctlError):
        Journal(state, RECORD)
    held.abandon()
    adopted(state).abandon()
    peek(state, NAME)
    for look in (Journal.adopt, peek):
        with pytest.raises(ForeignError):
            look(state, "bad.json")
    assert descriptors() == begin


# In the folder


def test_journals_those_set_aside_and_those_that_ended_are_told_apart(state: State) -> None:
    names = ["3.json", "1.json", "2.json.aside", "4.json.ended", ".5.77", ".6.json", "note.txt"]
    for name in names:
        plant(state, b"", name)
    assert left_open(state) == ["1.json", "3.json"]
    assert left_open(state, aside=True) == ["1.json", "2.json.aside", "3.json"]
    plant(state, b"", "0.json.ended")
    assert unwritten(state) == ["0.json.ended", "4.json.ended"]


def test_without_a_folder_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x.json", "x.json.ended"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    state = State(str(tmp_path / "run"), str(tmp_path))
    assert (left_open(state, aside=True), unwritten(state)) == ([], [])


def test_drafts_of_processes_that_have_gone_are_swept_away_and_others_are_not(state: State) -> None:
    gone, living = f".{ID}.{1 << 30}", f".{ID}.{os.getpid()}"
    for name in (gone, living, NAME):
        plant(state, b"", name)
    Path(state.journals, f".a-folder.{1 << 30}").mkdir()
    sweep(state)
    assert here(state) == sorted([living, NAME, f".a-folder.{1 << 30}"])


WRONG = ForeignError("x.json: not a journal of rctl: it is empty")
NEWER = NewerJournalError("x.json: is of a newer rctl")


@pytest.mark.parametrize(
    ("why", "remedy"), [(WRONG, "Look at it, then remove it by hand"), (NEWER, "Run rctl recover of that rctl")]
)
def test_what_is_no_journal_is_set_aside_under_its_name_and_told_with_what_to_do(
    state: State, why: ForeignError, remedy: str
) -> None:
    plant(state, b"x", "x.json")
    assert set_aside(state, "x.json", why) == f"{why}; it is set aside as x.json.aside. {remedy}"
    assert here(state) == ["x.json.aside"]
    assert set_aside(state, "x.json.aside", why) == f"{why}. {remedy}"
    assert here(state) == ["x.json.aside"]


def test_where_that_name_is_taken_it_gets_another_one(state: State) -> None:
    plant(state, b"first", "x.json.aside")
    plant(state, b"second", "x.json")
    told = set_aside(state, "x.json", WRONG)
    (other,) = [name for name in here(state) if name != "x.json.aside"]
    assert other.startswith("x.json.")
    assert other.endswith(".aside")
    assert f"set aside as {other}." in told
    assert Path(state.journals, other).read_bytes() == b"second"


def test_a_name_with_room_for_no_ending_is_cut(state: State) -> None:
    longest, longer = "a" * 195 + ".json", "b" * 196 + ".json"
    for name in (longest, longer):
        plant(state, b"", name)
        set_aside(state, name, WRONG)
    first, second = here(state)
    assert first == f"{longest}.aside"
    assert second.startswith(longer[:200] + ".")
    assert second.endswith(".aside")


def test_one_that_somebody_else_sets_aside_at_the_same_time_is_told_all_the_same(state: State) -> None:
    assert set_aside(state, "x.json", WRONG).startswith(f"{WRONG}; it is set aside as x.json.aside.")


def test_one_that_cannot_be_set_aside_is_told_with_the_cause(state: State, kernel: FakeKernel) -> None:
    plant(state, b"x", "x.json")
    failing(kernel, "rename", errno.EROFS)
    assert set_aside(state, "x.json", WRONG) == (
        f"{WRONG}; it cannot be set aside: Read-only file system. Look at it, then remove it by hand"
    )
    assert here(state) == ["x.json"]


def test_a_ve_that_is_yet_to_be_made_has_no_inode_in_the_journal(state: State) -> None:
    making = msgspec.structs.replace(RECORD, steps=(Make("/rctl-new"),))
    Journal(state, making).abandon()
    assert adopted(state).record == making


def _refusing(error: Exception) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise error

    return refuse
