"""Where locks, journals and the history lie, and which folders are refused."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from rctl.adjust import state_folder
from rctl.adjust.locks import Locks
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import Journal, left_open
from rctl.adjust.records.record_format import Record
from rctl.adjust.state_folder import State, default_state, make
from rctl.cgroupfs.mounts import kind_of
from rctl.errors import NotAvailableError, UsageError
from tests.unit.few_files import few_open_files

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")


def state(place: Path) -> State:
    return State(f"{place}/run", f"{place}/keep")


def refusal(place: Path) -> str:
    with pytest.raises(NotAvailableError) as caught:
        make(state(place))
    assert str(caught.value).count("\n") == 0
    assert "Set RCTL_STATE" in str(caught.value)
    return str(caught.value)


def test_the_folders_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    make(state(tmp_path))
    for folder in ("run", "run/journal", "keep"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_folders_that_are_there_already_are_taken_as_they_are(tmp_path: Path) -> None:
    make(state(tmp_path))
    (tmp_path / "keep" / "history.jsonl").write_text("kept")
    make(state(tmp_path))
    assert (tmp_path / "keep" / "history.jsonl").read_text() == "kept"


@pytest.mark.parametrize("folder", ["keep", "run", "run/journal"])
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, folder: str, mode: int) -> None:
    make(state(tmp_path))
    (tmp_path / folder).chmod(mode)
    assert f"{tmp_path / folder}: must be a folder that only you can write" in refusal(tmp_path)


@pytest.mark.parametrize("folder", ["keep", "run", "run/journal"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path, folder: str) -> None:
    make(state(tmp_path))
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / folder).rename(tmp_path / "moved")
    (tmp_path / folder).symlink_to(tmp_path / "elsewhere")
    assert str(tmp_path / folder) in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["cgroup2", "cgroup", "tracefs", "proc"])
@pytest.mark.parametrize("there", ["", "x", "x/run"])
def test_nothing_is_made_on_a_file_system_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, there: str
) -> None:
    """A folder there would be a cgroup, or an instance of the tracer."""
    monkeypatch.setattr("rctl.adjust.state_folder.kind_of", lambda device: kind)
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotAvailableError) as caught:
        make(State(f"{tmp_path}/x/run", f"{tmp_path}/x"))
    assert f"lies on a {kind} file system, which keeps no files. Set RCTL_STATE to a folder of your" in str(
        caught.value
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_the_kind_of_a_file_system_is_the_kernel_s_word(tmp_path: Path) -> None:
    assert kind_of(os.stat("/proc/self").st_dev) == "proc"
    assert kind_of(os.stat(tmp_path).st_dev) not in ("", "proc")
    assert kind_of(1 << 40) == ""


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    assert "run: must be a folder" in refusal(tmp_path)


@ROOT
def test_a_folder_of_another_owner_is_refused(tmp_path: Path) -> None:
    make(state(tmp_path))
    os.chown(tmp_path / "run", 12345, 12345)
    assert "only you can write" in refusal(tmp_path)


@pytest.mark.parametrize("folder", ["keep", "run", "run/journal"])
def test_a_link_that_takes_a_folders_place_later_leads_nobody_away(tmp_path: Path, folder: str) -> None:
    """State under a folder of somebody else, who flips a link after the check: what was checked is what is used."""
    with make(state(tmp_path)) as held:
        (tmp_path / "elsewhere").mkdir(0o700)
        (tmp_path / folder).rename(tmp_path / "moved")
        (tmp_path / folder).symlink_to(tmp_path / "elsewhere")
        with Locks(held) as locks:
            locks.take([(7, "/rctl-web1")])
            Journal(held, Record("a", 1.0, "boot", "", {}, ())).close(done=True)
            Journal(held, Record("b", 1.0, "boot", "", {}, ())).abandon()
        assert [record.id for record in history(held)] == ["a"]
        assert left_open(held) == ["b.json"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_that_is_flipped_to_and_fro_is_followed_at_no_moment(tmp_path: Path) -> None:
    """Whichever of the two the name is when it is opened: the folder itself is used, or the link refused."""
    make(state(tmp_path)).close()
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    open_, used = os.open, 0

    def open_after_flip(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        flip()
        try:
            return open_(path, flags, mode, dir_fd=dir_fd)
        finally:
            flip()

    def flip() -> None:
        for a, b in (("run", "spare"), ("link", "run"), ("spare", "link")):
            os.rename(tmp_path / a, tmp_path / b)

    for number in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", open_after_flip)
            if number:
                flip()
            with suppress(NotAvailableError), make(state(tmp_path)) as held:
                Journal(held, Record(f"a{number}", 1.0, "boot", "", {}, ())).abandon()
                used += 1
    assert used == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_history_that_somebody_else_may_write_is_not_added_to(tmp_path: Path) -> None:
    with make(state(tmp_path)) as held:
        Path(held.history).touch()
        Path(held.history).chmod(0o666)
        (note,) = Journal(held, Record("a", 1.0, "boot", "", {}, ())).close(done=True)
    assert "others may write to it. Look at it, then run rctl recover; this adjustment stands" in note
    assert (tmp_path / "keep" / "history.jsonl").read_text() == ""


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made: " in refusal(tmp_path / "file")


def test_a_folder_that_is_there_is_not_said_to_be_made(tmp_path: Path) -> None:
    with make(state(tmp_path)) as held:
        keep = held.keep
    with few_open_files(0), pytest.raises(NotAvailableError, match=f"^{keep}: cannot be opened: .*open no more files"):
        make(state(tmp_path))


def test_rctl_state_puts_all_below_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCTL_STATE", "/srv/rctl")
    found = default_state()
    assert (found.locks, found.journals) == ("/srv/rctl/run/lock", "/srv/rctl/run/journal")
    assert found.history == "/srv/rctl/history.jsonl"


def test_root_has_the_systems_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RCTL_STATE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_state() == State("/run/rctl", "/var/lib/rctl")


class Owned(NamedTuple):
    """The facts of a folder."""

    st_uid: int


def test_others_have_the_xdg_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RCTL_STATE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "stat", lambda path: Owned(0 if path == "/run/user/0" else 1000))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/mine")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/.state")
    assert default_state() == State("/run/mine/rctl", "/home/me/.state/rctl")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")  # as su(1) leaves it
    assert default_state().run == "/run/user/1000/rctl"
    monkeypatch.setattr(os, "stat", lambda path: Owned(0))
    assert default_state().run == "/tmp/rctl-1000"


@pytest.mark.parametrize("place", ["state", "./state", "~/state"])
def test_a_relative_rctl_state_is_refused(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("RCTL_STATE", place)
    with pytest.raises(UsageError, match=f"^RCTL_STATE '{place}': must start with /.*$"):
        default_state()


def test_in_tmp_the_folder_that_anybody_could_have_made_first_is_checked_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RCTL_STATE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(state_folder, "_RUNTIME", "/nowhere/{}")
    found = default_state()
    monkeypatch.setattr(os, "geteuid", lambda: me)
    assert os.path.dirname(found.run) == "/tmp"
    elsewhere = State(found.run.replace("/tmp", str(tmp_path)), found.keep)
    os.mkdir(elsewhere.run)
    os.chmod(elsewhere.run, 0o777)
    with pytest.raises(NotAvailableError, match="rctl-1000: must be a folder that only you can write"):
        make(elsewhere)
