"""What is wished for VEs, and how it is to be done."""

from __future__ import annotations

import msgspec

from ..formats import Write


class Options(msgspec.Struct, frozen=True):
    """How to adjust. ``deadline``: seconds for shrinking memory. ``wait``: seconds to wait for other adjustments.

    ``force``: let the kernel kill when memory is lowered below what is in use, let ``memory.min`` and ``memory.low`` be
    ``max``, and let an undo overwrite later changes.
    ``command``: what the history calls it. ``undoes``: the id of the adjustment that this one takes back.
    """

    deadline: float = 10.0
    wait: float = 30.0
    force: bool = False
    dry_run: bool = False
    command: str = ""
    undoes: str | None = None


class Wish(msgspec.Struct, frozen=True):
    """Entries wished for one VE. ``expected``: entries by (file, key) that must still be there, or the wish is void."""

    name: str
    writes: tuple[Write, ...]
    expected: dict[tuple[str, str], str] = {}
    ino: int | None = None
