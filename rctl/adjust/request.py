"""What an adjustment is asked to do: entries, how to do it, and what else happens around the limits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..cgroupfs.tree import Tree
from ..errors import NotFoundError
from ..formats import Write
from .steps import Move

if TYPE_CHECKING:
    from ..cgroupfs.cgroup import Cgroup
    from .records.journal import Journal


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


class Through(NamedTuple):
    """The writer of an entry that is not ``files``, and what is there, or is wished, in its own form."""

    writer: str
    kept: str = ""
    own: str = ""


class Wish(msgspec.Struct, frozen=True):
    """Entries wished for one VE. ``expected``: entries by (file, key) that must still be there, or the wish is void.

    ``own``: entries by (file, key) that are put back in their writer's own form, where that still writes them.
    """

    name: str
    writes: tuple[Write, ...]
    expected: dict[tuple[str, str], str] = {}
    ino: int | None = None
    own: dict[tuple[str, str], Through] | None = None


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is wished for one cgroup. ``texts`` gives the text of its files by name; ``None``: not there yet.

    ``through``: by (file, key), entries that a writer other than ``files`` sets.
    """

    path: str
    writes: tuple[Write, ...]
    texts: Mapping[str, str | None]
    through: Mapping[tuple[str, str], Through] | None = None


LabelValues = dict[str, str | None]
Starter = Callable[["Cgroup", "Journal", Callable[[], None], Sequence[str]], None]
"""``starter(ve, journal, commit, notes)`` starts a command in a VE.

Who becomes the command calls ``commit`` right before. When that is another process: ``journal.hand_over()``.
"""


class Around(NamedTuple):
    """``make``: managed VEs, by name, to make when they are not there. ``remove``: managed VEs that go at the end.

    ``instead``: the VE that is renamed, so that undo knows. ``kill``: end the processes of those that go first.
    ``move``: ids of processes to move into the adjustment's only VE.
    ``back``: processes to move where they were. ``start``: starts a command in the adjustment's only VE.
    ``freed``: CPUs that nobody has any more, by the path of the cgroup right above who had them.
    ``labels``: to put on VEs, by name, when the limits are set; ``None``: to take away. ``labelled``: labels by VE that
    must still be so (``None``: not be there), or nothing is done; a VE that goes must have no others.
    """

    make: Sequence[str] = ()
    move: Sequence[int] = ()
    back: Sequence[Move] = ()
    start: Starter | None = None
    remove: Sequence[str] = ()
    kill: bool = False
    instead: str = ""
    labels: Mapping[str, LabelValues] = {}
    labelled: Mapping[str, LabelValues] = {}
    freed: Mapping[str, Collection[int]] = {}

    def missing(self, tree: Tree) -> list[str]:
        """The VEs that have to be made."""
        found = []
        for name in self.make:
            try:
                tree.open_ve(name).close()
            except NotFoundError:
                found.append(name)
        return found


NOTHING = Around()
