"""Single flight: if several callers ask for the same work at the same time, it is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """A caller that asks while the same work runs waits for its result; a later caller starts it anew.

    So a result is never older than the work that ran when the caller asked, and nothing is cached.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}

    async def share(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``, or of the same work (``key``) if that runs already. Raises what the work raises.

        A client that goes away ends its own waiting, not the work: others may wait for it.
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
    """Mark the failure of work as seen, if no caller waits for it any more."""
    if not task.cancelled():
        task.exception()
