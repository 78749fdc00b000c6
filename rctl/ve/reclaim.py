"""Frees memory of a VE on request, without a limit (``memory.reclaim``, Linux 5.19)."""

from __future__ import annotations

import msgspec

from ..adjust.progress import Event
from ..adjust.shrink_memory import free
from ..adjust.site import Site
from ..errors import UsageError
from ..units import MAX, Size, human_size


class Reclaimed(msgspec.Struct, frozen=True):
    """Bytes ``asked`` for, bytes ``freed``, and ``current``: bytes in use now."""

    ve: str
    asked: int
    freed: int
    current: int


def reclaim(site: Site, name: str, size: int | str, deadline: float, swappiness: int | None = None) -> Reclaimed:
    """Free memory: the kernel drops file cache and swaps. No process is killed.

    ``size``: bytes, or text such as ``512M``. Less is freed if the kernel finds no more, or at the ``deadline``
    (seconds). ``swappiness``: see ``free``. Raises UsageError for a wrong size, NotFoundError, and NotAvailableError
    before Linux 5.19.
    """
    try:
        asked = Size.parse(size).amount
    except ValueError:
        raise UsageError(f"reclaim: {str(size)[:64]!r} is not understood. Write it like 512M or 1.5G") from None
    if asked is MAX or not asked:
        raise UsageError(f"reclaim: {size}: not an amount to free. Write it like 512M")

    def tell(freed: int) -> None:
        text = f"{name}: {human_size(freed)} of {human_size(asked)} freed"
        site.progress(Event("reclaim", freed, asked, text))

    with site.tree.open_ve(name) as ve:
        freed = free(ve, asked, deadline, tell, swappiness)
        site.progress(Event("close", freed, asked))
        return Reclaimed(name, asked, freed, int(ve.read("memory.current")))
