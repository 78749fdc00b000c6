"""Files that people hand in: read whole, whatever kind of descriptor holds them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rctl import input_files
from rctl.errors import UsageError

READ = "import sys; from rctl.input_files import read; sys.stdout.buffer.write(read('-', 1 << 20, or_stdin=True))"


def test_standard_input_that_does_not_block_is_read_to_its_end() -> None:
    """Somebody else may have set it so: the other end of an ssh, a supervisor."""
    theirs, ours = os.pipe()
    os.set_blocking(theirs, False)
    with subprocess.Popen([sys.executable, "-c", READ], stdin=theirs, stdout=subprocess.PIPE) as reader:
        os.close(theirs)
        threading.Timer(0.3, lambda: (os.write(ours, b"version"), os.close(ours))).start()
        assert reader.communicate(timeout=30)[0] == b"version"


def test_what_would_keep_the_reader_waiting_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "log").touch()  # as /proc/kmsg, which counts as a regular file

    def nothing_now(fd: int, most: int) -> bytes:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "read", nothing_now)
    with pytest.raises(UsageError, match=r"log: cannot be read: "):
        input_files.read(str(tmp_path / "log"), 1 << 20)


def test_an_empty_name_is_shown_as_such() -> None:
    with pytest.raises(UsageError, match=r"^'': cannot be read: "):
        input_files.read("", 1 << 20)


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * (1 << 20))
    assert len(input_files.read(str(file), 1 << 20)) == 1 << 20
    file.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        input_files.read(str(file), 1 << 20)
