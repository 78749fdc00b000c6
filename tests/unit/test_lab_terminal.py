"""``make shell``: a guest's console on this terminal. The guest is a stand-in; the socket and the terminal are real."""

from __future__ import annotations

import os
import pty
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import LabError, terminal


@contextmanager
def own_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input and output are a terminal, whose other end this is."""
    outer, inner = pty.openpty()
    with open(inner, "rb", buffering=0) as reads, open(os.dup(inner), "wb", buffering=0) as writes:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", reads)
            patch.setattr(sys, "stdout", writes)
            yield outer
        os.close(outer)


def test_keys_go_to_the_guest_as_they_are_and_its_words_come_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "terminal"
    seen: list[bytes] = []

    def guest(keyboard: int) -> int:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            wire, _ = server.accept()
            with wire:
                wire.settimeout(10)
                wire.sendall(b"lab:~# ")
                assert os.read(keyboard, 100) == b"lab:~# "
                os.write(keyboard, b"\x03exit\r")
                while not seen or not b"".join(seen).endswith(b"\r"):
                    seen.append(wire.recv(100))
                wire.sendall(b"bye")
        return 7

    with own_terminal(monkeypatch) as keyboard:
        before = termios.tcgetattr(sys.stdin)
        assert terminal.joined(path, lambda: guest(keyboard)) == 7
        assert termios.tcgetattr(sys.stdin) == before
        assert os.read(keyboard, 100) == b"bye"
    assert b"".join(seen) == b"\x03exit\r"


def test_a_guest_that_does_not_boot_is_said_and_the_terminal_is_as_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def guest() -> int:
        raise LabError("no kernel")

    with own_terminal(monkeypatch):
        before = termios.tcgetattr(sys.stdin)
        with pytest.raises(LabError, match="no kernel"):
            terminal.joined(tmp_path / "terminal", guest)
        assert termios.tcgetattr(sys.stdin) == before


def test_without_a_terminal_there_is_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(LabError, match="needs a terminal"):
            terminal.check()
