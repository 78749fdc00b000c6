"""The journal where the disk fails, and where others put files of their own."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from rctl.adjust.records import journal as journal_file
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
from rctl.adjust.records.record_format import VERSION, encode
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Make
from rctl.errors import KernelError, RctlError
from tests.unit.fake_calls import INTERRUPT
from tests.unit.fake_kernel import FakeKernel, state_folder
from tests.unit.journals import ID, NAME, RECORD, adopted, failing, here, plant


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
