"""What a writer is."""

from __future__ import annotations

from typing import Protocol

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...formats import File, Write
from ..steps import Enable, Set


class Writer(Protocol):
    """A way to change entries. What an entry holds is always read from the kernel's file, after a write as well.

    ``NAME``: as steps, journals and the history have it: lower-case letters.
    """

    NAME: str

    def check(self, tree: Tree, path: str) -> None:
        """Whether it may write to the cgroup ``path``. Raises NotAvailableError, with the remedy, where not."""

    def expresses(self, file: File) -> bool:
        """Whether it can set an entry of ``file``, in any value."""

    def read(self, cgroup: Cgroup, write: Write) -> str:
        """The text of the entry's file, which is about to be written: a missing right shows here.

        Raises NotAvailableError where the file is not there, KernelError where the caller may not write it.
        """

    def kept(self, cgroup: Cgroup, write: Write) -> str:
        """What is there in the writer's own form: what the entry does not tell, such as a property that is not set.

        It goes into ``SetThrough.kept``. Empty: the entry tells all.
        """

    def missing(self, tree: Tree, path: str, file: File) -> list[Enable]:
        """The steps after which ``file`` exists in the cgroup ``path``; empty where the writer enables controllers.

        Raises NotAvailableError where no step brings it about.
        """

    def write(self, cgroup: Cgroup, step: Set, deadline: float) -> list[str]:
        """Set the entry, read it back from the kernel's file and compare. Returns notes for people.

        ``step.own`` of a ``SetThrough`` is a form that ``kept`` returned: then that is put back. ``deadline``: seconds
        that freeing memory may take. Raises RctlError when the file does not hold then what was asked.
        """
