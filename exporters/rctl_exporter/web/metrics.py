"""Pages of metrics for the web: scraped in a thread of their own, one at a time, shared by who comes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from .compress import Gzip
from .flight import Flight

Page: TypeAlias = Callable[[bool], Sequence[bytes]]
"""One whole page as chunks, in OpenMetrics (``True``) or text. Read anew on every call; called from one thread only."""


class Metrics:
    """The pages.

    Requests that arrive while a scrape for the same format runs share its page, and so do those that want it
    compressed. A request that is alone always reads the kernel anew: of a page, only the compressed text of chunks that
    are the same again is kept.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._flight: Flight[Sequence[bytes]] = Flight()
        self._gzip = Gzip()
        self._thread = ThreadPoolExecutor(1, "scrape")

    async def get(self, *, openmetrics: bool, gzip: bool) -> Sequence[bytes]:
        """One page's chunks. Raises what the page raises."""
        loop = asyncio.get_running_loop()

        async def plain() -> Sequence[bytes]:
            return await loop.run_in_executor(self._thread, self._page, openmetrics)

        async def small() -> Sequence[bytes]:
            chunks = await self._flight.share(openmetrics, plain)
            return await loop.run_in_executor(self._thread, self._gzip.page, chunks)

        if gzip:
            return await self._flight.share((openmetrics, "gzip"), small)
        return await self._flight.share(openmetrics, plain)

    def close(self) -> None:
        """Wait for the scrape that runs, begin no other."""
        self._thread.shutdown(cancel_futures=True)
