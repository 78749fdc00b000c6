"""Pages of metrics for the web: scraped in a thread of their own, one at a time, shared by who comes meanwhile."""

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
"""One whole page, or part of it, as chunks, in OpenMetrics (``True``) or text.

Read anew on every call; called from one thread only.
"""
_PARTS = 4
"""Most parts of pages that are made or waited for at a time: each one asks for a scrape of its own."""


class Made(NamedTuple):
    """A page. ``small``: compressed, where whoever began it asked for that."""

    chunks: Sequence[bytes]
    small: Sequence[bytes] | None


class Metrics:
    """The pages.

    Requests that arrive while a scrape for the same format runs share its page, and so do those that want it
    compressed. A request that is alone always reads the kernel anew: of a page, only the compressed text of chunks that
    are the same again is kept.
    """

    def __init__(self, page: MakePage) -> None:
        self._page = page
        self._flight: Flight[Made] = Flight()
        self._compressing: Flight[Sequence[bytes]] = Flight()
        self._gzip = Gzip()
        self._parts = 0
        self._thread = ThreadPoolExecutor(1, "scrape")

    async def get(self, *, openmetrics: bool, gzip: bool, only: Only = ALL) -> Sequence[bytes]:
        """One page's chunks, or a part's. Raises what the page raises; BusyError where too many ask for parts."""
        if only == ALL:
            return await self._get(openmetrics, gzip, only, self._gzip)
        if self._parts >= _PARTS:
            raise BusyError("too many ask for parts of the page. Ask for the whole one, or again in a moment")
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
        """Wait for the scrape that runs, begin no other."""
        self._thread.shutdown(cancel_futures=True)
