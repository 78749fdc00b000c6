"""A file of lines that others add to, read as it grows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.adjust.records import log_files as lines_file
from rctl.adjust.records.follow import Follower
from rctl.adjust.state_folder import State


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines"


@pytest.fixture
def follower(path: Path) -> Iterator[Follower]:
    found = following(path)
    yield found
    found.close()


def following(path: Path) -> Follower:
    return Follower(State(f"{path.parent}/run", str(path.parent)), str(path))


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def lines(follower: Follower) -> list[str]:
    return [line.decode().rstrip("\n") for line in follower.lines()]


def test_a_file_that_is_not_there_has_no_lines_until_it_is(follower: Follower, path: Path) -> None:
    assert lines(follower) == []
    add(path, "a\n")
    assert lines(follower) == ["a"]


def test_each_line_comes_once(follower: Follower, path: Path) -> None:
    add(path, "a\nb\n")
    assert lines(follower) == ["a", "b"]
    assert lines(follower) == []
    add(path, "c\n")
    assert lines(follower) == ["c"]


def test_what_was_there_before_is_told_apart_newest_first(path: Path) -> None:
    add(path.with_name("lines.1"), "a\n")
    add(path.with_name("lines.2"), "b\n")
    add(path, "c\nd\nhal")
    follower = following(path)
    assert list(follower.past()) == [b"d", b"c", b"b", b"a"]
    add(path, "f\n")
    assert lines(follower) == ["half"]
    follower.close()


def test_a_line_that_is_not_written_to_its_end_comes_later(follower: Follower, path: Path) -> None:
    add(path, "a\nhal")
    assert lines(follower) == ["a"]
    assert lines(follower) == []
    add(path, "f\n")
    assert lines(follower) == ["half"]


def test_it_goes_on_when_the_file_begins_anew(follower: Follower, path: Path) -> None:
    add(path, "a\n")
    assert lines(follower) == ["a"]
    add(path, "b\n")
    path.rename(path.with_name("lines.1"))
    assert lines(follower) == ["b"]
    add(path, "c\n")
    assert lines(follower) == ["c"]


def test_nothing_is_lost_when_it_begins_anew_while_it_is_read(follower: Follower, path: Path) -> None:
    add(path, "a\n")
    reading = follower.lines()
    assert next(reading) == b"a"
    add(path, "b\n")
    path.rename(path.with_name("lines.1"))
    add(path, "c\n")
    assert list(reading) == [b"b", b"c"]


def test_what_came_between_the_end_and_the_beginning_is_not_lost(
    follower: Follower, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(path, "a\n")
    assert lines(follower) == ["a"]
    stat = os.stat

    def stat_after_others(place: str, *, dir_fd: int) -> os.stat_result:
        monkeypatch.setattr(os, "stat", stat)
        add(path, "b\n")
        path.rename(path.with_name("lines.1"))
        add(path, "c\n")
        return stat(place, dir_fd=dir_fd)

    monkeypatch.setattr(os, "stat", stat_after_others)
    assert lines(follower) == ["b", "c"]


def test_a_file_that_was_cut_short_is_read_from_its_beginning(follower: Follower, path: Path) -> None:
    add(path, "a\nb\n")
    assert lines(follower) == ["a", "b"]
    os.truncate(path, 0)
    add(path, "c\n")
    assert lines(follower) == ["c"]


def test_a_file_that_was_removed_and_made_again(follower: Follower, path: Path) -> None:
    add(path, "a\n")
    assert lines(follower) == ["a"]
    path.unlink()
    assert lines(follower) == []
    add(path, "b\n")
    assert lines(follower) == ["b"]


def test_a_folder_in_its_place_has_no_lines(path: Path) -> None:
    path.mkdir()
    follower = following(path)
    assert lines(follower) == []
    follower.close()


def append(path: Path, line: bytes) -> None:
    state = State(f"{path.parent}/run", str(path.parent))
    lines_file.append(state.folder(state.keep), path.name, line)


class TestAppend:
    """The other side: how lines get into such a file."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines_file, "_PART", 100)

    def test_every_line_is_followed_across_many_beginnings(self, follower: Follower, path: Path) -> None:
        for number in range(100):
            append(path, b"line %d" % number)
            assert lines(follower) == [f"line {number}"]

    def test_a_torn_line_ends_before_the_next(self, follower: Follower, path: Path) -> None:
        add(path, "torn")
        append(path, b"whole")
        assert lines(follower) == ["torn", "whole"]

    def test_a_writer_that_waited_while_the_file_was_moved_writes_to_the_new_one(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(path, "x" * 200 + "\n")
        flock = lines_file.fcntl.flock

        def flock_after_others(fd: int, how: int) -> None:
            monkeypatch.setattr(lines_file.fcntl, "flock", flock)
            path.rename(path.with_name("lines.1"))
            flock(fd, how)

        monkeypatch.setattr(lines_file.fcntl, "flock", flock_after_others)
        append(path, b"new")
        assert path.read_text() == "new\n"
        assert path.with_name("lines.1").read_text() == "x" * 200 + "\n"
