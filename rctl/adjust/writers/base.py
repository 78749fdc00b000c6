"""The interface of a writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree
from ...formats import File, Write
from ..steps import Enable, Set, SetThrough

PutBack = Literal["put back", "changed", "removed"]
"""What became of a stored form: it is the old one; somebody else has changed it since, and it stays; its owner knows
the cgroup no more, so there is nothing to put back.
"""


class Writer(Protocol):
    """A way to change entries. The value of an entry is always read from the kernel's file, also after a write.

    An owner may know more than the entry shows: systemd tells a property that is not set from one that is set to the
    default. A *form* is what the owner knows of one entry, as one printable line of at most 65536 characters. It goes
    into the journal and the history, and only its writer reads it. A writer whose entries show everything has empty
    forms.

    ``NAME``: its name in steps, journals and the history: lower-case letters. ``STORES_ONLY``: it stores all values,
    and cannot set one until the next boot only.
    """

    NAME: str
    STORES_ONLY: bool

    def check(self, tree: Tree, path: str) -> None:
        """Check that it may write to the cgroup ``path``. Raises NotAvailableError with the remedy if not."""

    def expressible(self, cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
        """Those of the entries that it can set; some can only be set together.

        Raises NotAvailableError if the owner is silent.
        """

    def resets(self, file: File, path: str) -> bool:
        """True if the owner sets this file back to a value of its own, so that nobody else may write it."""

    def missing(self, tree: Tree, path: str, file: File) -> list[Enable]:
        """The steps after which ``file`` exists in the cgroup ``path``; empty if the writer enables controllers itself.

        Raises NotAvailableError if no steps can make it exist.
        """

    def kept(
        self, cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]
    ) -> Sequence[str]:
        """The present form of each of these entries, in their order. Raises NotAvailableError without the right to set.

        ``texts``: of the cgroup's files. ``notes`` for people are added: what of a form an undo cannot give back.
        ``runtime``: the new values are to last until the next boot; raises NotAvailableError if they would not.
        Called once for each VE before anything is planned.
        """

    def form(self, file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
        """The form of an entry that is set to a value; ``kept``: its present form.

        ``runtime``: until the next boot, if such a value wins over the present one. An empty form: nothing to set,
        because another entry of the same request brings this one about.
        """

    def write(self, cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
        """Set these entries of one cgroup, in one call if it can; read each back from the kernel's file and compare.

        The form to set is ``SetThrough.own``, which is what ``form`` or ``kept`` returned. Memory that a lower
        ``memory.max`` needs is free by then. Returns notes for people. Raises RctlError if a file does not have the
        wished value afterwards; some of the entries may be set then, and all of them are put back.
        """

    def outlives(self, path: str) -> bool:
        """True if what it stores for the cgroup stays when that is removed, and counts when it is made anew.

        Raises NotAvailableError if only its owner knows, and does not answer.
        """

    def for_good(self, form: str) -> bool:
        """True if a value with this form still counts after a boot, if it ``outlives`` its cgroup."""

    def put_back(self, path: str, step: SetThrough) -> PutBack:
        """Give the owner of a removed cgroup the old form back, for its next life, if it still has the new one."""
