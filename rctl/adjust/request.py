"""The request for an adjustment: entries, options, and the steps around the limits."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..cgroupfs.tree import Tree
from ..errors import NotFoundError
from ..formats import Write
from .steps import ChangePart, Move

if TYPE_CHECKING:
    from ..cgroupfs.cgroup import Cgroup
    from .records.journal import Journal


class Options(msgspec.Struct, frozen=True):
    """How to adjust. ``deadline``: seconds for shrinking memory. ``wait``: seconds to wait for other adjustments.

    ``force``: let the kernel kill if memory goes below the use, allow ``max`` for ``memory.min`` and ``memory.low``,
    and let an undo overwrite later changes. ``command``: its name in the history. ``undoes``: the id of the adjustment
    that this one takes back. ``runtime``, ``restores``, ``until``, ``part``: see ``Record``.
    """

    deadline: float = 10.0
    wait: float = 30.0
    force: bool = False
    dry_run: bool = False
    command: str = ""
    undoes: str | None = None
    runtime: bool = False
    restores: bool = False
    until: float | None = None
    part: ChangePart | None = None

    @property
    def till_boot(self) -> bool:
        """True if owners are to hold the values until the next boot: nobody may be there to end a timer after it."""
        return self.runtime or self.until is not None

    @property
    def lasting(self) -> dict[str, Any]:
        """The fields of a record that say how long its limits last, and of what it is a part, if they are set."""
        found = {"runtime": self.runtime, "restores": self.restores, "until": self.until, "part": self.part}
        return {name: value for name, value in found.items() if value}


class Through(msgspec.Struct, frozen=True):
    """An entry that another writer than ``files`` sets, and the form of its owner (``writers.base``).

    ``kept``: of what is there. ``own``: to put back; ``None``: the ``form`` of the value that is set, from its file,
    its key, its entry, and ``kept`` by this name.
    """

    writer: str
    kept: str
    own: str | None
    form: Callable[..., str]


class Wish(msgspec.Struct, frozen=True):
    """Entries wished for one VE. ``expected``: entries by (file, key) that must still have this value, or it fails.

    ``own``: entries by (file, key) that are put back in their writer's own form, if that writer still writes them.
    """

    name: str
    writes: tuple[Write, ...]
    expected: dict[tuple[str, str], str] = {}
    ino: int | None = None
    own: dict[tuple[str, str], tuple[str, str]] | None = None

    @property
    def before(self) -> Collection[str]:
        """The names of the writers to which entries are put back."""
        return {name for name, _ in self.own.values()} if self.own else ()


class Change(msgspec.Struct, frozen=True, gc=False):
    """The wish for one cgroup. ``texts``: the texts of its files by name; ``None``: not there yet.

    ``through``: by (file, key), entries that a writer other than ``files`` sets.
    """

    path: str
    writes: tuple[Write, ...]
    texts: Mapping[str, str | None]
    through: Mapping[tuple[str, str], Through] | None = None


LabelValues = dict[str, str | None]
Starter = Callable[["Cgroup", "Journal", Callable[[], None], Sequence[str]], None]
"""``starter(ve, journal, commit, notes)`` starts a command in a VE.

The process that becomes the command calls ``commit`` right before; if it is another process: ``journal.hand_over()``.
"""


class Around(msgspec.Struct, frozen=True):
    """``make``: managed VEs, by name, to make if they are missing. ``remove``: managed VEs to remove at the end.

    ``instead``: the VE that is renamed, for undo. ``kill``: end the processes of VEs to remove first.
    ``move``: ids of processes to move into the adjustment's only VE.
    ``back``: processes to move back. ``start``: starts a command in the adjustment's only VE.
    ``freed``: CPUs that are free now, by the path of the parent of the cgroup that had them.
    ``labels``: to set on VEs, by name, after the limits; ``None`` removes one. ``labelled``: labels by VE that must
    still have this value (``None``: be unset), or nothing is done; a VE that is removed must have no others.
    ``passing``: the VE goes with the command, so its limits are not desired for later.
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
    passing: bool = False

    def beyond_limits(self, name: str) -> bool:
        """True if it does more to the VE than to set its limits: that goes to the files, whoever owns its limits."""
        if self.move or self.back or self.start:
            return True
        return any(name in names for names in (self.make, self.remove, self.labels, self.labelled, (self.instead,)))

    def missing(self, tree: Tree) -> list[str]:
        """The VEs that must be made."""
        found = []
        for name in self.make:
            try:
                tree.open_ve(name).close()
            except NotFoundError:
                found.append(name)
        return found


NOTHING = Around()
