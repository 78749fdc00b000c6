"""The server: accepts connections, limits their number, and ends cleanly."""

from __future__ import annotations

import asyncio
import errno
import functools
import resource
import socket
from collections.abc import Sequence
from typing import Any, cast

from .connection import Conversation, Deadlines
from .listen import is_local
from .log import Log
from .reload import Live, Rules
from .routes import Answer, WebSite

CONNECTIONS = 100
"""Most connections at a time, if the limit of open files allows; cgroups leave descriptors for so many."""

_LARGEST = 128 << 20
_PAUSE = 0.2
_FAREWELL = 5.0
_BUFFER = 32 * 1024


def affordable() -> int:
    """The number of connections that this process's limit of open files allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS, max(soft // 8, 2))


class Server:
    """Serves a site on sockets that listen.

    Any client may be slow, silent or hostile. If there are more connections than ``most``, one is ended: the oldest
    that waits for its client; else the oldest whose client takes its answer slowly; else the oldest whose password is
    being checked. So a new request finds a place, and no answer that is being made is lost. The answers that are being
    sent take at most ``_LARGEST`` of memory together.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        site: WebSite,
        live: Live,
        log: Log,
        *,
        deadlines: Deadlines | None = None,
        most: int | None = None,
    ) -> None:
        """``most``: connections at a time; unset: ``affordable()``."""
        self._listeners = listeners
        self._site = site
        self._live = live
        self._log = log
        self._deadlines = deadlines or Deadlines()
        self._most = affordable() if most is None else most
        self._open: dict[asyncio.Task[None], Conversation | None] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; then finish the answers under way, close everything and return."""
        asyncio.get_running_loop().set_exception_handler(self._fault)
        accepting = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        try:
            await stop.wait()
        finally:
            for task in accepting:
                task.cancel()
            await asyncio.gather(*accepting, return_exceptions=True)
            await self._farewell()

    async def _farewell(self) -> None:
        busy = []
        for task, conversation in self._open.items():
            if conversation and not _waits(conversation):
                conversation.closing = True
                busy.append(task)
            else:
                task.cancel()
        if busy:
            await asyncio.wait(busy, timeout=_FAREWELL)
        left = list(self._open)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        loopback = is_local(listener) and listener.family != socket.AF_UNIX
        while True:
            try:
                connection, place = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    self._log.warn("accept", f"cannot accept a connection: {error.strerror}")
                    self._make_room()
                    await asyncio.sleep(_PAUSE)
                continue
            going = None
            if len(self._open) >= self._most and not (going := self._make_room()):
                connection.close()
                continue
            client = str(place[0]) if isinstance(place, tuple) else "local"
            task = asyncio.create_task(self._serve(connection, client, loopback))
            self._open[task] = None
            task.add_done_callback(functools.partial(self._ended, connection))
            if going:
                await asyncio.wait([going])  # otherwise a crowd would come in before anyone has left

    def _ended(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """Forget a connection; a task that is cancelled before its first step closes nothing itself."""
        del self._open[task]
        connection.close()
        if not task.cancelled() and (error := task.exception()):
            self._log.warn("fault", f"a bug in rctl ended a connection: {error!r}")

    def _make_room(self) -> asyncio.Task[None] | None:
        """End a connection that waits for its client, else a slow one. Returns its task; ``None`` if there is none."""
        late = asyncio.get_running_loop().time() - self._deadlines.slow
        waiting = [task for task, one in self._open.items() if not one or _waits(one)]
        slow = [task for task, one in self._open.items() if one and one.sending is not None and one.sending <= late]
        checking = [task for task, one in self._open.items() if one and one.checking]
        for task in waiting + slow + checking:
            if not task.cancelling():
                task.cancel()
                return task
        return None

    def _admit(self, answer: Answer) -> bool:
        """True if there is memory to send an answer; slow clients lose theirs for it. A single answer is always sent.

        The answers of one scrape are the same object, and are counted once.
        """
        late = asyncio.get_running_loop().time() - self._deadlines.slow
        under_way = {id(answer.body): answer.size}
        for task, one in self._open.items():
            if one and one.sending is not None and not task.cancelling():
                under_way[id(one.body)] = sum(map(len, one.body))
        if sum(under_way.values()) <= _LARGEST or len(under_way) == 1:
            return True
        slow = [task for task, one in self._open.items() if one and one.sending is not None and one.sending <= late]
        return any(task.cancel() for task in slow if not task.cancelling()) and self._admit(answer)

    @property
    def connections(self) -> tuple[int, int]:
        """The number of connections, and of those for which an answer is being made."""
        return len(self._open), sum(1 for one in self._open.values() if one and one.working)

    @property
    def sending(self) -> int:
        """The number of answers that are being sent."""
        return sum(1 for one in self._open.values() if one and one.sending is not None)

    async def _serve(self, connection: socket.socket, client: str, loopback: bool) -> None:
        """Handle one connection from its first byte to its end."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await self._streams(connection, rules := self._live.rules())
            if rules.sans is None or _allowed(writer, rules.sans):
                conversation = Conversation(
                    (reader, writer), self._site, self._live.rules, self._deadlines, client, loopback, self._admit
                )
                self._open[cast("asyncio.Task[None]", asyncio.current_task())] = conversation
                await conversation.run()
                await self._close(writer)
            else:
                self._log.warn("tls", f"{client}: its certificate has no name from client_allowed_sans")
        except TimeoutError:
            pass
        except OSError as error:
            if writer is None:
                self._log.warn("tls", f"{client}: no TLS connection: {_why(error)}")
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _streams(
        self, connection: socket.socket, rules: Rules
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection as streams, after the TLS handshake. Raises OSError (also for TLS), TimeoutError."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_BUFFER, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        timeouts: dict[str, Any] = {}
        if rules.context:
            timeouts["ssl_handshake_timeout"] = self._deadlines.handshake
            timeouts["ssl_shutdown_timeout"] = self._deadlines.linger
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=rules.context, **timeouts)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        """Send the rest, and TLS's close message. Raises OSError, TimeoutError."""
        async with asyncio.timeout(self._deadlines.linger):
            writer.close()
            await writer.wait_closed()

    def _fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log in one line what asyncio would print in many."""
        error = context.get("exception")
        self._log.warn("fault", f"{context.get('message', '')}: {error!r}" if error else str(context.get("message")))


def _allowed(writer: asyncio.StreamWriter, sans: list[str]) -> bool:
    """True if the client's certificate has a name from ``sans``."""
    from .tls import allowed

    return allowed(writer.get_extra_info("peercert"), sans)


def _waits(one: Conversation) -> bool:
    """True if a connection waits for its client."""
    return not (one.checking or one.working or one.sending is not None)


def _why(error: OSError) -> str:
    reason = getattr(error, "reason", None) or str(error) or "the client left"
    return "it used plain HTTP; use https" if reason == "HTTP_REQUEST" else reason
