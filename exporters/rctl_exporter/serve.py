"""``rctl exporter serve``: from settings to a server that runs until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from .optional_libraries import needed
from .request_filter import Only
from .settings import Settings
from .web.listen import is_local, open_all, url
from .web.log import Log
from .web.metrics import MakePage, Metrics
from .web.reload import Live

if TYPE_CHECKING:
    from .web.server import Server


def serve(
    settings: Settings, listen: Sequence[str] = (), web_config: str | None = None, hosts: Sequence[str] = ()
) -> None:
    """Serve this host's figures until SIGTERM or SIGINT.

    ``listen``: addresses; empty: the sockets that systemd passes, else the default port on loopback.
    ``web_config``: the path of the web configuration; unset: plain HTTP, for every client that can connect.
    ``hosts``: more names of this host that requests may ask for; see ``Hosts``.
    Raises UsageError, NotAvailableError before it serves; nothing afterwards.
    """
    log = Log()
    serve_pages(_scraper(settings, log), listen, web_config, log, hosts)


@contextlib.contextmanager
def _scraper(settings: Settings, log: Log) -> Iterator[MakePage]:
    from rctl.api.session import Session
    from rctl.cgroupfs.files import allow_open_files

    from .scrape import Scraper

    allow_open_files()
    first = True
    with Session() as session, Scraper(session.site, settings) as scraper:

        def page(openmetrics: bool, only: Only) -> Sequence[bytes]:
            nonlocal first
            gc.disable()  # a scrape makes no garbage, but so many objects that collections would run all the time
            try:
                chunks = scraper.scrape(openmetrics, only)
                if first:
                    gc.freeze()  # most of it stays
                    first = False
            finally:
                gc.enable()
            if scraper.trouble:
                log.warn("unread", f"{scraper.trouble}")
            return chunks

        yield page


def serve_pages(
    source: AbstractContextManager[MakePage],
    listen: Sequence[str] = (),
    web_config: str | None = None,
    log: Log | None = None,
    hosts: Sequence[str] = (),
) -> None:
    """Serve pages from any source, as ``serve`` does. Only in a process's main thread.

    ``source`` is entered after all other checks have passed, and left at the end.
    """
    with needed():
        from .web.hosts import Hosts
        from .web.routes import WebSite
        from .web.server import Server
    log = log or Log()
    names = Hosts(hosts)
    with contextlib.ExitStack() as stack:
        passwords = ThreadPoolExecutor(1, "passwords")
        stack.callback(passwords.shutdown, cancel_futures=True)
        live = Live(web_config, log, passwords)
        listeners = open_all(listen)
        for listener in listeners:
            stack.callback(listener.close)
        metrics = Metrics(stack.enter_context(source))
        stack.callback(metrics.close)
        server = Server(listeners, WebSite(metrics, log, names), live, log)
        gc.freeze()  # the objects so far stay, so collections need not look at them
        gc.enable()  # a verb ends before garbage matters; a server does not
        asyncio.run(_until_told(server, listeners, live, log))


async def _until_told(server: Server, listeners: Sequence[socket.socket], live: Live, log: Log) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Other servers re-read their configuration at SIGHUP; this one does so by itself.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)
    _announce(listeners, live, log)
    notify("READY=1")
    await server.run(stop)
    notify("STOPPING=1")


def _announce(listeners: Sequence[socket.socket], live: Live, log: Log) -> None:
    rules = live.rules()
    for listener in listeners:
        log.say(f"listening on {url(listener, tls=rules.context is not None)}")
        if not is_local(listener) and not rules.context and not rules.users:
            log.say("any client can read this page: there is no TLS, and there are no users. See --web.config.file")


def notify(state: str) -> None:
    """Report a state to systemd, if it started this process as Type=notify, sd_notify(3)."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place.startswith(("/", "@")):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + place[1:] if place.startswith("@") else place)
            channel.send(state.encode())
