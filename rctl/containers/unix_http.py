"""HTTP on a Unix socket: one request and its answer, of bounded size and time.

HTTP/1.0 (RFC 1945): the end of the answer is the end of the connection, so it comes in no chunks.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping

import msgspec

MOST = 16 << 20
"""Bytes of the largest answer that is read."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """The status, the body and the headers of an answer; the names of headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def ask(
    place: str, method: str, path: str, body: bytes = b"", *, seconds: float, most: int = MOST, uid: int | None = None
) -> HttpAnswer:
    """Send a request to the server at the socket ``place``, and return its answer.

    ``body``: JSON. ``seconds``: the time for all of it. ``most``: bytes of the answer. ``uid``: of the user who
    must have opened the socket. Raises OSError if the server cannot be reached, TimeoutError if it takes too long, and
    ValueError for the server of another user, and for an answer that is too long or no HTTP.
    """
    head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as wire:
        wire.settimeout(seconds)
        wire.connect(place)
        _check_owner(wire, uid)
        wire.sendall(f"{head}\r\n".encode() + body)
        parts: list[bytes] = []
        size = 0
        while True:
            wire.settimeout(_left(end))
            if not (part := wire.recv(1 << 16)):
                return _answer(b"".join(parts))
            parts.append(part)
            size += len(part)
            if size > most:
                raise ValueError(f"its answer is longer than {most >> 10} KiB")


def listens(place: str) -> bool:
    """True if a server listens at the socket ``place``, and the caller may use it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as wire:
        wire.setblocking(False)
        try:
            wire.connect(place)
        except BlockingIOError:
            return True  # its queue is full
        except OSError:
            return False
        return True


def _check_owner(wire: socket.socket, uid: int | None) -> None:
    """A user could let the place of his own socket lead to that of somebody else."""
    if uid is None:
        return
    found = wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if (other := struct.unpack("3i", found)[1]) != uid:
        raise ValueError(f"it is a socket of user {other}, not of user {uid}")


def _left(end: float) -> float:
    if (left := end - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _answer(data: bytes) -> HttpAnswer:
    head, found, body = data.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if not found or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError("its answer is no HTTP")
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    if headers.get("content-length", str(len(body))) != str(len(body)):
        raise ValueError("its answer ends early")
    return HttpAnswer(int(words[1]), body, headers)
