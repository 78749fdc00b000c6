"""The interface of a writer."""

from __future__ import annotations

from typing import Protocol

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...formats import File, Write
from ..steps import Enable, Set


class Writer(Protocol):
    """A way to change entries. The value of an entry is always read from the kernel's file, also after a write.

    ``NAME``: its name in steps, journals and the history: lower-case letters.
    """

    NAME: str

    def check(self, tree: Tree, path: str) -> None:
        """Check that it may write to the cgroup ``path``. Raises NotAvailableError with the remedy if not."""

    def expresses(self, file: File) -> bool:
        """True if it can set an entry of ``file``, to any value."""

    def read(self, cgroup: Cgroup, write: Write) -> str:
        """The text of the entry's file, before it is written: a missing right shows here.

        Raises NotAvailableError if the file is missing, KernelError if the caller may not write it.
        """

    def kept(self, cgroup: Cgroup, write: Write) -> str:
        """The present value in the writer's own form: what the entry does not show, such as a property that is not set.

        It goes into ``SetThrough.kept``. Empty: the entry shows everything.
        """

    def missing(self, tree: Tree, path: str, file: File) -> list[Enable]:
        """The steps after which ``file`` exists in the cgroup ``path``; empty if the writer enables controllers itself.

        Raises NotAvailableError if no steps can make it exist.
        """

    def write(self, cgroup: Cgroup, step: Set, deadline: float) -> list[str]:
        """Set the entry, read it back from the kernel's file and compare. Returns notes for people.

        ``step.own`` of a ``SetThrough`` is a form that ``kept`` returned; then that is put back. ``deadline``: seconds
        for freeing memory. Raises RctlError if the file does not have the wished value afterwards.
        """
