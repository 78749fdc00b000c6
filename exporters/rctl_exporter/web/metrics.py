"""Pages of metrics for the web. A thread makes one scrape at a time; clients that come meanwhile share its page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeAlias

from rctl.errors import BusyError

from ..request_filter import ALL, Only
from .compress import Gzip
from .single_flight import Flight

MakePage: TypeAlias = Callable[[bool, Only], Sequence[bytes]]
"""Makes one whole page, or part of it, as chunks, in OpenMetrics (``True``) or text.

Each call reads the kernel. Only one thread calls it.
"""
_PARTS = 4
"""Most partial pages that are made or waited for at a time: each needs its own scrape."""


class Made(NamedTuple):
    """A page. ``small``: the page compressed, if the request that began it asked for that."""

    chunks: Sequence[bytes]
    small: Sequence[bytes] | None


class Metrics:
    """The pages.

    Requests that arrive during a scrape for the same format share its page, compressed or not. A single request always
    reads the kernel anew: from one page to the next, only the compressed text of unchanged chunks is kept.
    """

    def __init__(self, page: MakePage) -> None:
        self._page = page
        self._flight: Flight[Made] = Flight()
        self._compressing: Flight[Sequence[bytes]] = Flight()
        self._gzip = Gzip()
        self._parts = 0
        self._thread = ThreadPoolExecutor(1, "scrape")

    async def get(self, *, openmetrics: bool, gzip: bool, only: Only = ALL) -> Sequence[bytes]:
        """The chunks of a page, or of a part. Raises what the page raises; BusyError if too many ask for parts."""
        if only == ALL:
            return await self._get(openmetrics, gzip, only, self._gzip)
        if self._parts >= _PARTS:
            raise BusyError("too many clients ask for parts of the page. Ask for the whole page, or try again later")
        self._parts += 1
        try:
            return await self._get(openmetrics, gzip, only, Gzip())
        finally:
            self._parts -= 1

    async def _get(self, openmetrics: bool, gzip: bool, only: Only, compressor: Gzip) -> Sequence[bytes]:
        run = partial(asyncio.get_running_loop().run_in_executor, self._thread)

        def made() -> Made:
            chunks = self._page(openmetrics, only)
            return Made(chunks, compressor.page(chunks) if gzip else None)

        page = await self._flight.share((openmetrics, only), lambda: run(made))
        if not gzip:
            return page.chunks
        if page.small is not None:
            return page.small
        return await self._compressing.share(id(page.chunks), lambda: run(compressor.page, page.chunks))

    def close(self) -> None:
        """Wait for the scrape that runs; begin no other."""
        self._thread.shutdown(cancel_futures=True)
