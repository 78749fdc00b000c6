"""One client's connection: requests in, answers out, each within a deadline, whatever the client does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

import h11

from rctl.version import __version__

from .reload import Rules
from .routes import Answer, Request, WebSite, line

_HEAD = 16 * 1024
_PIECE = 256 * 1024
_LINGER = 1024 * 1024
_READ = 64 * 1024
_AT_ONCE = {False: (0, 0), True: (1, 0)}
"""Buffer limits, without and with TLS, so that draining means sent: asyncio's TLS counts 0 of 0 bytes as too many."""


class Deadlines(NamedTuple):
    """Times in seconds: for the TLS handshake, to send a whole request, between requests, to take an answer.

    ``slow``: to take an answer while other clients wait for a place. ``linger``: to take the end of an answer before
    the connection is closed.
    """

    handshake: float = 5.0
    request: float = 10.0
    idle: float = 120.0
    answer: float = 30.0
    slow: float = 1.0
    linger: float = 2.0


class Conversation:
    """HTTP/1.1 on one connection.

    ``checking``: a password is being checked. ``working``: an answer is being made for a client that may have it.
    ``sending``: the loop's time at which sending began; ``None`` if nothing is being sent. ``body``: the chunks that
    are being sent.
    """

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        site: WebSite,
        rules: Callable[[], Rules],
        deadlines: Deadlines,
        client: str = "",
        loopback: bool = False,
        admit: Callable[[Answer], bool] = lambda _: True,
    ) -> None:
        """``rules``: called at each request. ``client``: the client's address, for the log.

        ``loopback``: the client came to an address that only this host reaches. ``admit``: returns True if there is
        memory to send an answer.
        """
        self._reader, self._writer = streams
        self._site = site
        self._rules = rules
        self._deadlines = deadlines
        self._client = client
        self._loopback = loopback
        self._admit = admit
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        self.checking = self.working = self.closing = False
        self.sending: float | None = None
        self.body: Sequence[bytes] = ()
        self._writer.transport.set_write_buffer_limits(*_AT_ONCE[self._writer.get_extra_info("sslcontext") is not None])

    async def run(self) -> None:
        """Answer requests until the client or a deadline ends it. Raises OSError if the connection breaks."""
        wait = self._deadlines.request
        while await self._arrives(wait):
            if not await self._one():
                return
            if self.closing or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()
            wait = self._deadlines.idle
            await asyncio.sleep(0)  # a client that sends many requests at once lets others in between

    async def _arrives(self, seconds: float) -> bool:
        """True if a client begins a request within the time."""
        if self._http.trailing_data[0]:
            return True
        try:
            async with asyncio.timeout(seconds):
                data = await self._reader.read(_HEAD)
        except TimeoutError:
            return False
        if not data:
            return False
        self._http.receive_data(data)
        return True

    async def _one(self) -> bool:
        """Answer one request. Returns True if the connection can take another."""
        try:
            async with asyncio.timeout(self._deadlines.request):
                request = await self._request()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint if error.error_status_hint in (431, 501, 505) else 400
            return await self._refuse(line(status, f"not an HTTP request: {error}"))
        except TimeoutError:
            return await self._refuse(line(408, f"no whole request within {self._deadlines.request:g} s"))
        if request is None:
            return False
        rules = self._rules()
        answer = await self._answer(request, rules)
        await self._send(answer, rules, request.method, last=request.has_body)
        if request.has_body:
            await self._linger()
            return False
        return True

    async def _answer(self, request: Request, rules: Rules) -> Answer:
        self.checking = True
        try:
            refused = await self._site.refusal(request, rules)
        finally:
            self.checking = False
        if refused:
            return refused
        self.working = True
        try:
            answer = await self._site.answer(request)
        finally:
            self.working = False
        return answer if self._admit(answer) else line(503, "too many answers under way", ("Retry-After", "1"))

    async def _request(self) -> Request | None:
        """The next request's head; ``None`` if the client ends before it. Raises h11.RemoteProtocolError."""
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        if not head.http_version.startswith(b"1."):
            raise h11.RemoteProtocolError("its version of HTTP is not 1.0 or 1.1", error_status_hint=505)
        event = self._http.next_event()
        has_body = not isinstance(event, h11.EndOfMessage)
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        _check_framing(head, headers)
        method, target = head.method.decode("ascii"), head.target.decode("latin-1")
        return Request(method, target, headers, has_body, self._client, self._loopback)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_HEAD))
        return event

    async def _refuse(self, answer: Answer) -> bool:
        """Answer a message that was no request, and end the connection."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send(answer, Rules(), "GET", last=True)
            await self._linger()
        return False

    async def _send(self, answer: Answer, rules: Rules, method: str, *, last: bool) -> None:
        """Send an answer. Raises TimeoutError for a client that does not take it in time, OSError for one that left."""
        own = {name for name, _ in rules.headers}
        headers = [pair for pair in answer.headers if pair[0] not in own]
        headers += [("Content-Length", str(answer.size)), ("Date", formatdate(usegmt=True))]
        headers += [("Server", f"rctl-exporter/{__version__}"), *rules.headers]
        if last or self.closing:
            headers.append(("Connection", "close"))
        self.sending, self.body = asyncio.get_running_loop().time(), answer.body
        async with asyncio.timeout(self._deadlines.answer):
            reason = HTTPStatus(answer.status).phrase
            await self._write(self._http.send(h11.Response(status_code=answer.status, reason=reason, headers=headers)))
            if method != "HEAD":
                for piece in pieces(answer.body):
                    await self._write(self._http.send(h11.Data(piece)))
            self._http.send(h11.EndOfMessage())
        self.sending, self.body = None, ()

    async def _write(self, data: bytes | None) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionResetError
        self._writer.write(data or b"")
        await self._writer.drain()

    async def _linger(self) -> None:
        """Let the client read the answer: closing with unread bytes would discard it (RFC 9112, 9.6)."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        left = _LINGER
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._deadlines.linger):
                while left > 0 and (data := await self._reader.read(_READ)):
                    left -= len(data)


def _check_framing(head: h11.Request, headers: Mapping[str, str]) -> None:
    """Raise h11.RemoteProtocolError for a message that two servers may read differently (RFC 9112, 6.1)."""
    if "transfer-encoding" not in headers:
        return
    if "content-length" in headers:
        raise h11.RemoteProtocolError("it has both Content-Length and Transfer-Encoding", error_status_hint=400)
    if head.http_version == b"1.0":
        raise h11.RemoteProtocolError("Transfer-Encoding in HTTP/1.0", error_status_hint=400)


def pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A body in pieces: few, because each costs a system call; small enough to wait in memory for a slow client."""
    small: list[bytes] = []
    size = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            part = chunk[start : start + _PIECE]
            if size + len(part) > _PIECE:
                yield b"".join(small)
                small, size = [], 0
            small.append(part)
            size += len(part)
    yield b"".join(small)
