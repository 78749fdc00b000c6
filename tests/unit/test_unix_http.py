"""Requests on a Unix socket, to servers that answer well, badly, slowly, or without an end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rctl.containers.unix_http import HttpAnswer, ask, listens


@contextmanager
def server(folder: Path, serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server at a socket in ``folder``: ``serve`` gets one connection. Its path."""
    place = str(folder / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()

        def run() -> None:
            wire, _ = listening.accept()
            with wire:
                serve(wire)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield place
        thread.join(10)
        assert not thread.is_alive()


def request(wire: socket.socket, body: int = 0) -> bytes:
    """The whole request, whose body has so many bytes."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < body:
        data += wire.recv(65536)
    return data


def test_a_request_and_its_answer(tmp_path: Path) -> None:
    got: list[bytes] = []

    def serve(wire: socket.socket) -> None:
        got.append(request(wire, 7))
        wire.sendall(b"HTTP/1.0 409 Conflict\r\nContent-Length: 2\r\n\r\n")
        wire.sendall(b"no")

    with server(tmp_path, serve) as place:
        answer = ask(place, "POST", "/containers/x/update", b'{"a":1}', seconds=10)
    assert answer == HttpAnswer(409, b"no", {"content-length": "2"})
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /containers/x/update HTTP/1.0\r\n")
    assert b"Content-Type: application/json" in head
    assert b"Content-Length: 7" in head
    assert body == b'{"a":1}'


@pytest.mark.parametrize(
    "said",
    [
        b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    ],
)  # fmt: skip
def test_an_answer_that_is_none(tmp_path: Path, said: bytes) -> None:
    def serve(wire: socket.socket) -> None:
        request(wire)
        wire.sendall(said)

    with server(tmp_path, serve) as place, pytest.raises(ValueError, match="its answer"):
        ask(place, "GET", "/", seconds=10)


def test_an_answer_without_an_end_is_cut_off(tmp_path: Path) -> None:
    def serve(wire: socket.socket) -> None:
        request(wire)
        try:
            while True:
                wire.sendall(b"x" * 65536)
        except OSError:
            return

    with server(tmp_path, serve) as place, pytest.raises(ValueError, match="longer than 1024 KiB"):
        ask(place, "GET", "/", seconds=10, most=1 << 20)


def test_a_server_that_drips_is_given_up_in_time(tmp_path: Path) -> None:
    def serve(wire: socket.socket) -> None:
        request(wire)
        try:
            while not threading.Event().wait(0.02):
                wire.sendall(b"x")
        except OSError:
            return

    with server(tmp_path, serve) as place, pytest.raises(TimeoutError):
        ask(place, "GET", "/", seconds=0.2)


def test_a_socket_that_is_not_there_or_has_no_server(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(str(tmp_path / "none"), "GET", "/", seconds=1)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    with pytest.raises(ConnectionRefusedError):
        ask(str(tmp_path / "left"), "GET", "/", seconds=1)


def test_a_server_of_another_user_gets_no_request(tmp_path: Path) -> None:
    got: list[bytes] = []
    with server(tmp_path, lambda wire: got.append(wire.recv(10))) as place, pytest.raises(ValueError, match="of user"):
        ask(place, "GET", "/", seconds=10, uid=os.getuid() + 1)
    assert got == [b""]


def test_the_server_of_the_right_user_gets_it(tmp_path: Path) -> None:
    def serve(wire: socket.socket) -> None:
        request(wire)
        wire.sendall(b"HTTP/1.0 200 OK\r\nServer: Some  one \r\n\r\n")

    with server(tmp_path, serve) as place:
        assert ask(place, "GET", "/", seconds=10, uid=os.getuid()).headers == {"server": "Some  one"}


def test_a_socket_listens_or_not(tmp_path: Path) -> None:
    with server(tmp_path, lambda wire: None) as place:
        assert listens(place)
    assert not listens(place)  # the file is still there
    assert not listens(f"{tmp_path}/none")
