"""Files of lines in parts: added to, read from the end, and let go by age and number."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.adjust.records import history as history_file
from rctl.adjust.records import log_files
from rctl.adjust.records.desired import Desired
from rctl.adjust.records.history import latest
from rctl.adjust.records.record_format import Record, decode, encode
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Set
from rctl.adjust.undoing import choose
from rctl.errors import RctlError
from tests.unit.fake_kernel import BOOT, FakeKernel, state_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


def test_a_full_disk_leaves_no_part_of_a_line(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part would be told as no record of rctl from then on."""

    def half(fd: int, data: bytes) -> None:
        os.write(fd, data[: len(data) // 2])
        raise OSError(28, os.strerror(28))

    log_files.append(folder, "f", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(log_files, "write_all", half)
        with pytest.raises(OSError, match="No space left"):
            log_files.append(folder, "f", b"22222222")
    log_files.append(folder, "f", b"3")
    assert numbered(folder) == [3, 1]
    fd = os.open("f", os.O_RDONLY, dir_fd=folder)
    assert os.read(fd, 99) == b"1\n3\n"
    os.close(fd)


def numbered(folder: int, name: str = "f") -> list[int]:
    return [int(line) for line in log_files.backwards(folder, name)]


# Reading


def test_no_file_has_no_lines(folder: int) -> None:
    assert list(log_files.backwards(folder, "f")) == []


def test_the_newest_line_comes_first(folder: int) -> None:
    for number in range(3):
        log_files.append(folder, "f", b"%d" % number)
    assert numbered(folder) == [2, 1, 0]


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=9)), st.integers(1, 20))
def test_lines_of_any_length_read_in_any_blocks(texts: list[str], block: int) -> None:
    with state_folder() as state, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_BLOCK", block)
        folder = state.folder(state.keep)
        Path(state.keep, "f").write_text("".join(f"{text}\n" for text in texts) + "not ended yet")
        Path(state.keep, "f").chmod(0o600)
        assert list(log_files.backwards(folder, "f")) == [text.encode() for text in reversed(texts) if text]


def test_a_part_that_begins_while_it_is_read_is_read_once(folder: int, tmp_path: Path) -> None:
    log_files.append(folder, "f", b"1")
    reading = log_files.backwards(folder, "f")
    assert next(reading) == b"1"
    (tmp_path / "f").rename(tmp_path / "f.1")
    log_files.append(folder, "f", b"2")
    assert list(reading) == []


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_an_older_part_that_is_no_file_is_passed_over_and_said(state: State, kind: str) -> None:
    place = Path(f"{state.history}.2")
    place.mkdir() if kind == "folder" else os.mkfifo(place, 0o600)
    for name in ("1", ""):
        with open(os.open(state.history + (name and f".{name}"), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(encode(Record(f"a{name}", 1.0, BOOT, "", {}, ())) + b"\n")
    refused: list[str] = []
    assert [record.id for record in latest(state, refused)] == ["a", "a1"]
    (line,) = refused
    assert line.startswith(f"{place}: cannot be read: is no regular file. Look at it, then remove it")
    log_files.append(state.folder(state.keep), "history.jsonl", b"{}")
    assert len(list(latest(state))) == 2


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "writable"])
def test_what_is_not_the_callers_own_file_is_refused(folder: int, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "f"
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to("/dev/zero")
    else:
        place.touch()
        place.chmod(0o666)
    with pytest.raises(RctlError, match="f: cannot be read"):
        list(log_files.backwards(folder, "f"))


# Parts


def test_parts_are_numbered_and_read_as_one(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_PART", 20)
    for number in range(100, 200):
        log_files.append(folder, "f", b"%d" % number)
    assert len(log_files.parts(folder, "f")) == 16
    assert numbered(folder) == list(range(199, 99, -1))


def test_old_parts_go_by_number_of_lines(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_PART", 100)
    monkeypatch.setattr(log_files, "_MOST_LINES", 50)
    for number in range(100, 1000):
        log_files.append(folder, "f", b"%d" % number)
        kept = numbered(folder)
        assert kept == list(range(number, number - len(kept), -1))
        assert len(kept) >= min(number - 99, 50)
        assert len(kept) <= 50 + 2 * 27


def test_old_parts_go_by_size(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_PART", 100)
    monkeypatch.setattr(log_files, "_MOST_BYTES", 500)
    for number in range(100, 1000):
        log_files.append(folder, "f", b"%d" % number)
    assert 500 <= 4 * len(numbered(folder)) < 800


DAY = 86400


def aged(tmp_path: Path, folder: int, days: list[float]) -> list[str]:
    """The parts that stay when a new one begins and those before it, the newest first, are so many days old."""
    for number, age in enumerate(reversed(days), 1):
        place = tmp_path / f"f.{number}"
        place.write_bytes(b"x\n")
        os.utime(place, (time.time() - age * DAY,) * 2)
    log_files.append(folder, "f", b"new")
    return log_files.parts(folder, "f")[:-1]


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        ([1, 100, 200, 300, 399], 5),
        ([1, 100, 399, 401, 500], 3),
        ([100, 300, 500, 700, 900], 2),
        ([3000, 3001, 3002], 3),  # the clock leapt ahead since
        ([3000, 3300, 3500], 2),  # and time had passed before
        ([-20000, -19999, 5], 3),  # it was ahead, or stood at 1970, and is right again
        ([1, 20000, 2], 3),
    ],
)
def test_old_parts_go_by_age_and_never_by_a_leap_of_the_clock(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[float], kept: int
) -> None:
    monkeypatch.setattr(log_files, "_PART", 0)
    assert aged(tmp_path, folder, days) == [f"f.{number}" for number in range(len(days) - kept + 1, len(days) + 1)]


def test_other_files_beside_are_no_parts(folder: int, tmp_path: Path) -> None:
    log_files.append(folder, "f", b"1")
    for name in ("f.0", "f.x", "f.1x", "fx.1", "f.json", "f.01", "f.9999999999999999999"):
        (tmp_path / name).write_text("9\n")
    assert numbered(folder) == [1]


# Costs


class Counted:
    """How many lines are decoded, and how many bytes read, in a block."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = self.read = 0
        pread = os.pread

        def counted_decode(line: bytes) -> Record:
            self.decoded += 1
            return decode(line)

        def counted_pread(fd: int, size: int, at: int) -> bytes:
            data = pread(fd, size, at)
            self.read += len(data)
            return data

        monkeypatch.setattr(history_file, "decode", counted_decode)
        monkeypatch.setattr(os, "pread", counted_pread)


def grown(state: State, number: int, path: str, ino: int, boot: str = BOOT) -> None:
    """So many adjustments in the history."""
    step = Set(path, "pids.max", "max", "5")
    made = (Record(f"id-{n}", 1.0 + n, boot, "rctl set", {path: ino}, (step,)) for n in range(number))
    with open(state.history, "ab") as file:
        file.writelines(encode(record) + b"\n" for record in made)
    os.chmod(state.history, 0o600)


@pytest.mark.parametrize("number", [10, 20_000])
def test_undo_and_history_cost_the_same_for_ten_adjustments_as_for_many(
    state: State, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel()
    ino = kernel.make("/rctl-web1").ino
    grown(state, number, "/rctl-web1", ino)
    counted = Counted(monkeypatch)
    assert [record.id for record in islice(latest(state), 3)] == [f"id-{number - n}" for n in (1, 2, 3)]
    with kernel.installed() as tree:
        assert choose.newest(Site(tree, kernel.host, state))[0].id == f"id-{number - 1}"
    assert counted.decoded <= 4
    assert counted.read <= 2 << 16


@pytest.mark.parametrize("number", [10, 20_000])
def test_adding_to_the_history_costs_the_same_however_long_it_is(
    state: State, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(state, number, "/rctl-web1", 2)
    counted = Counted(monkeypatch)
    log_files.append(state.folder(state.keep), "history.jsonl", b"{}")
    assert (counted.decoded, counted.read) == (0, 1)


def test_what_is_desired_is_learned_from_this_boots_adjustments_alone(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(state, 20_000, "/rctl-old", 7, boot="before")
    grown(state, 3, "/rctl-web1", 8)
    counted = Counted(monkeypatch)
    desired = Desired(state, BOOT)
    assert desired.drift(8, {"pids.max": "6"}) == {"pids.max": True}
    assert desired.drift(7, {"pids.max": "6"}) == {}
    assert counted.read <= 3 << 16
    desired.close()


def test_what_is_desired_is_learned_from_a_bounded_part_of_the_history(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rctl.adjust.records.desired._FURTHEST", 1 << 16)
    grown(state, 20_000, "/rctl-old", 7)
    grown(state, 3, "/rctl-web1", 8)
    counted = Counted(monkeypatch)
    desired = Desired(state, BOOT)
    assert desired.drift(8, {"pids.max": "6"}) == {"pids.max": True}
    assert counted.read <= 4 << 16
    desired.close()
