"""A finished adjustment that the history did not take: it stands, its line comes later, and no undo passes it over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust.records import journal as journal_file
from rctl.adjust.records import pending_history
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import Journal, left_open, unwritten
from rctl.adjust.records.record_format import Record
from rctl.adjust.state_folder import State, make
from tests.unit.few_files import few_open_files
from tests.unit.shell import Shell


@contextmanager
def in_the_way(state: str) -> Iterator[None]:
    """Within, the history cannot be written: a folder has its name."""
    place = Path(state, "history.jsonl")
    if place.exists():
        place.rename(f"{place}.before")
    place.mkdir()
    try:
        yield
    finally:
        place.rmdir()
        if Path(f"{place}.before").exists():
            Path(f"{place}.before").rename(place)


def commands(shell: Shell) -> list[str]:
    """The history's commands, oldest first."""
    with State(f"{shell.state}/run", shell.state) as state:
        return [record.command.removeprefix("rctl ") for record in history(state)]


def waiting(shell: Shell) -> int:
    """How many adjustments the history lacks. None may have been left open by a crash."""
    with State(f"{shell.state}/run", shell.state) as state:
        assert left_open(state) == []
        return len(unwritten(state))


def test_undo_takes_no_older_adjustment_in_the_place_of_one_that_the_history_lacks(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    with in_the_way(shell.state):
        status, _, err = shell.run("set", "web2", "pids.max=7")
    assert (status, shell.kernel.get("/rctl-web2", "pids.max")) == (0, "7")
    assert "cannot be written: Is a directory. Look at it, then run rctl recover; this adjustment stands" in err
    for words in ([], ["--dry-run"], ["--ve", "web2"]):
        status, out, err = shell.run("undo", *words)
        assert (status, out, len(err.splitlines())) == (1, "", 1)
        assert err.endswith("rctl set web2 pids.max=7) has ended, and is not in the history yet. "
                            "Add it first: rctl recover\n")  # fmt: skip
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"
    assert "rctl set web2 pids.max=7): it had ended, and is in the history now" in shell.run("recover")[1]
    assert (commands(shell), waiting(shell)) == (["set web1 pids.max=5", "set web2 pids.max=7"], 0)
    assert "rctl set web2 pids.max=7" in shell.run("undo")[1]
    assert (shell.kernel.get("/rctl-web1", "pids.max"), shell.kernel.get("/rctl-web2", "pids.max")) == ("5", "max")


@pytest.mark.parametrize("of", ["itself", "its undo"])
def test_undo_by_id_asks_for_the_line_that_the_history_lacks(shell: Shell, of: str) -> None:
    if of == "its undo":
        shell.run("set", "web2", "pids.max=7")
    with in_the_way(shell.state) if of == "itself" else pytest.MonkeyPatch.context() as patch:
        if patch:
            patch.setattr(journal_file, "append", refuse)
        assert shell.run(*(["set", "web2", "pids.max=7"] if of == "itself" else ["undo"]))[0] == 0
        with State(f"{shell.state}/run", shell.state) as state:
            (name,) = unwritten(state)
            record = journal_file.peek(state, name)
    assert record
    wanted = record.undoes or record.id
    status, _, err = shell.run("undo", wanted)
    assert (status, len(err.splitlines())) == (1, 1)
    assert "has ended, and is not in the history yet. Add it first: rctl recover" in err
    shell.run("recover")
    assert shell.run("undo", wanted)[0] == (0 if of == "itself" else 1)
    assert shell.kernel.get("/rctl-web2", "pids.max") == "max"


def test_undo_by_id_of_another_is_not_held_up_by_it(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    with State(f"{shell.state}/run", shell.state) as state:
        (first,) = history(state)
    with in_the_way(shell.state):
        shell.run("set", "web2", "pids.max=7")
    assert shell.run("undo", first.id)[0] == 0
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"


def test_it_is_never_put_back_whatever_somebody_else_wrote_since(shell: Shell) -> None:
    with in_the_way(shell.state):
        shell.run("set", "web2", "pids.max=7", "cpu.weight=50")
    shell.kernel.put("/rctl-web2", "pids.max", "8")
    shell.run("recover")
    assert (shell.kernel.get("/rctl-web2", "pids.max"), shell.kernel.get("/rctl-web2", "cpu.weight")) == ("8", "50")
    assert len(commands(shell)) == 1


def test_the_next_adjustment_adds_the_lines_in_their_order(shell: Shell) -> None:
    with in_the_way(shell.state):
        shell.run("set", "web2", "pids.max=7")
        shell.run("set", "web2", "pids.max=8")
    assert waiting(shell) == 2
    status, _, err = shell.run("set", "web1", "pids.max=5")
    assert (status, err.count("is in the history now")) == (0, 2)
    assert commands(shell) == ["set web2 pids.max=7", "set web2 pids.max=8", "set web1 pids.max=5"]
    assert waiting(shell) == 0


def test_a_line_that_fails_again_is_said_once_and_fails_no_adjustment(shell: Shell) -> None:
    with in_the_way(shell.state):
        for number in range(3):
            status, _, err = shell.run("set", "web2", f"pids.max={number + 7}")
            assert status == 0
            assert err.count("cannot be written") == min(number + 1, 2), "its own, and one for all before"
        assert "(and 1 more like it)" in err
        status, out, err = shell.run("recover")
        assert (status, out, len(err.splitlines())) == (1, "", 1)
        assert "(and 2 more like it)" in err
        assert "not in the history yet" in shell.run("doctor")[1]
    assert shell.run("recover")[0] == 0
    assert [word[-1] for word in commands(shell)] == ["7", "8", "9"]


def test_an_undo_that_the_history_did_not_take_is_not_done_twice(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "web1", "pids.max=6")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_file, "append", refuse)
        assert shell.run("undo")[0] == 0
        assert shell.run("undo")[0] == 1
    shell.run("recover")
    shell.run("undo")
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"


def refuse(*_: Any) -> None:
    raise OSError(28, os.strerror(28))


def test_a_line_that_is_there_already_is_not_added_again(tmp_path: Path) -> None:
    record = Record("20261122-1", 1795342500.25, "b", "rctl set web1", {}, ())
    with make(State(str(tmp_path / "run"), str(tmp_path / "keep"))) as state:
        Journal(state, record).close(done=True)
        Journal(state, record).abandon()
        os.rename(f"{state.journals}/20261122-1.json", f"{state.journals}/20261122-1.json.ended")
        assert [len(lines) for lines in pending_history.add(state)] == [1, 0]
        assert (len(history(state)), unwritten(state)) == (1, [])


def test_no_descriptor_left_for_the_history_loses_no_line(tmp_path: Path) -> None:
    record = Record("20261122-1", 1795342500.25, "b", "rctl set web1", {}, ())
    with make(State(str(tmp_path / "run"), str(tmp_path / "keep"))) as state:
        held = Journal(state, record)
        with few_open_files(0):
            (note,) = held.close(done=True)
            told, refused = pending_history.add(state)
        assert "Raise its limit (ulimit -n, or LimitNOFILE= of the unit), then run rctl recover" in note
        assert told == []
        assert all("may open no more files" in line for line in refused)
        assert unwritten(state) == ["20261122-1.json.ended"]
        pending_history.add(state)
        assert history(state) == [record]


def test_who_started_a_command_says_what_the_command_could_not(tmp_path: Path) -> None:
    record = Record("20261122-1", 1795342500.25, "b", "rctl run web1", {}, ())
    with make(State(str(tmp_path / "run"), str(tmp_path / "keep"))) as state:
        held = Journal(state, record)
        held.close(done=True)
        assert held.hand_over() == []
        held = Journal(state, record)
        with in_the_way(state.keep):
            held.close(done=True)
        (note,) = held.hand_over()
        assert "history.jsonl: cannot be written; this adjustment stands. Run rctl recover" in note


def test_one_that_has_just_ended_is_not_taken_for_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened by its old name, and locked after it was renamed and let go."""
    record = Record("20261122-1", 1795342500.25, "b", "rctl set web1", {}, ())
    with make(State(str(tmp_path / "run"), str(tmp_path / "keep"))) as state:
        held = Journal(state, record)
        monkeypatch.setattr(journal_file, "append", refuse)
        monkeypatch.setattr(journal_file, "hold", _then(journal_file.hold, lambda: held.close(done=True)))
        assert Journal.adopt(state, "20261122-1.json") is None


def _then(do: Callable[[int], int], more: Callable[[], object]) -> Callable[[int], int]:
    def both(fd: int) -> int:
        more()
        return do(fd)

    return both
