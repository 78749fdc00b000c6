"""Single flight: work that several ask for at the same time is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """Who asks while the same work is under way waits for that work's result; who asks later begins it anew.

    So a result is never older than the work that was under way when it was asked for, and nothing is kept.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}

    async def share(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``, or of the same (``key``) that is under way. Raises what the work raises.

        A client that goes away ends its own waiting, not the work, which others may wait for.
        """
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._run(key, work))
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            del self._under_way[key]


def _seen(task: asyncio.Task[T]) -> None:
    """The failure of work that nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()
