"""A page as a file: whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from rctl.errors import NotAvailableError, UsageError
from rctl_exporter import textfile


def test_the_file_holds_the_page_and_all_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "rctl.prom"
    old = os.umask(0o077)
    try:
        textfile.write(str(path), [b"a 1\n", b"", b"b 2\n"])
    finally:
        os.umask(old)
    assert path.read_bytes() == b"a 1\nb 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["rctl.prom"]


def test_a_reader_of_the_old_page_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "rctl.prom"
    path.write_bytes(b"old\n")
    with path.open("rb") as reader:
        textfile.write(str(path), [b"new\n"])
        assert reader.read() == b"old\n"
    assert path.read_bytes() == b"new\n"


def test_the_new_page_has_its_name_only_when_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rctl.prom"
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("fsync"), fsync(number)))
    monkeypatch.setattr(os, "rename", lambda old, new: (steps.append("rename"), rename(old, new)))
    textfile.write(str(path), [b"new\n"])
    assert steps == ["fsync", "rename", "fsync"]


def test_a_name_without_a_folder_is_one_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    textfile.write("rctl.prom", [b"a\n"])
    assert (tmp_path / "rctl.prom").read_bytes() == b"a\n"


@pytest.mark.parametrize("call", ["fsync", "fchmod", "rename"])
def test_what_fails_leaves_the_old_page_and_nothing_else(tmp_path: Path, call: str) -> None:
    path = tmp_path / "rctl.prom"
    path.write_bytes(b"old\n")
    with (
        mock.patch.object(os, call, side_effect=OSError(errno.ENOSPC, "No space left on device")),
        pytest.raises(NotAvailableError, match="cannot be written: No space left"),
    ):
        textfile.write(str(path), [b"new\n"])
    assert path.read_bytes() == b"old\n"
    assert os.listdir(tmp_path) == ["rctl.prom"]


def test_a_page_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"half\n"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        textfile.write(str(tmp_path / "rctl.prom"), breaking())
    assert os.listdir(tmp_path) == []


def test_standard_output_has_a_verb_of_its_own() -> None:
    with pytest.raises(UsageError, match=r"-: not a file. Print the page with rctl exporter once"):
        textfile.write("-", [])


@pytest.mark.parametrize("path", ["", "{}", "{}/", "{}/a/", "a\0b", "/dev/null", "{}/pipe"])
def test_what_is_no_file_is_refused_and_untouched(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError):
        textfile.write(path.format(tmp_path), [])
    assert os.listdir(tmp_path) == ["pipe"]
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("path", ["{}/none/rctl.prom", "{}/file/rctl.prom", "/proc/rctl.prom"])
def test_a_folder_that_takes_none_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotAvailableError, match="cannot be written: "):
        textfile.write(path.format(tmp_path), [b"a\n"])


KILLED = """
import os, signal, sys
from rctl_exporter import textfile

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], die)
textfile.write(sys.argv[1], [b"half"])
"""


@pytest.mark.parametrize("call", ["fchmod", "fsync", "rename"])
def test_what_a_killed_one_left_the_next_one_takes_away(tmp_path: Path, call: str) -> None:
    path = tmp_path / "rctl.prom"
    (tmp_path / "other").write_text("stays")
    for _ in range(3):
        died = subprocess.run([sys.executable, "-c", KILLED, str(path), call], check=False)
        assert died.returncode == -signal.SIGKILL
        assert len(os.listdir(tmp_path)) <= 2
    textfile.write(str(path), [b"whole\n"])
    assert sorted(os.listdir(tmp_path)) == ["other", "rctl.prom"]
    assert path.read_bytes() == b"whole\n"


def test_what_another_one_is_writing_stays(tmp_path: Path) -> None:
    path = tmp_path / "rctl.prom"

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        textfile.write(str(path), [b"second\n"])
        assert path.read_bytes() == b"second\n"

    textfile.write(str(path), chunks())
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"first\n", ["rctl.prom"])
