"""Writers: the ways to change an entry of a cgroup. One adjustment may use several of them.

A writer is a module with the functions of ``base.Writer``. A change goes through the first writer in ``WRITERS`` that
may write to the cgroup and can express the entry. The step names it, so the same writer puts the old value back, also
after a crash and in an undo.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...cgroupfs.tree import Tree
from ...errors import NotAvailableError
from ...formats import File
from .. import owner
from ..steps import Set, SetThrough
from . import files
from .base import Writer

WRITERS: tuple[Writer, ...] = (files,)
"""All writers, in the order of preference: an owner's own interface comes before its files."""


def only_files() -> bool:
    """True if every cgroup of this host is written through its files: there is no other writer, or no other owner."""
    return (files,) == WRITERS and not owner.applies()


def of(tree: Tree, path: str) -> Sequence[Writer]:
    """The writers that may write to the cgroup ``path``, in the order of preference.

    If none may, raises NotAvailableError as the last of them does.
    """
    found: list[Writer] = []
    refused: NotAvailableError | None = None
    for writer in WRITERS:
        try:
            writer.check(tree, path)
            found.append(writer)
        except NotAvailableError as error:
            refused = error
    if refused and not found:
        raise refused
    return found


def chosen(writers: Sequence[Writer], file: File, path: str) -> Writer:
    """The first of them that can express an entry of ``file``. Raises NotAvailableError if none can."""
    for writer in writers:
        if writer.expresses(file):
            return writer
    names = " and ".join(writer.NAME for writer in writers)
    raise NotAvailableError(f"{file.name}: {names} cannot set it on {path}. Leave it out, or ask the owner of {path}")


def named(name: str) -> Writer | None:
    """The writer with this name; ``None`` if this rctl has none."""
    return next((writer for writer in WRITERS if name == writer.NAME), None)


def writer_of(step: Set) -> Writer:
    """The writer of a step. Raises NotAvailableError if this rctl does not have it."""
    if not isinstance(step, SetThrough):
        return files
    if (writer := named(step.writer)) is None:
        raise NotAvailableError(
            f"{step.file}: {step.path} was set through {step.writer}, which this rctl does not know"
        )
    return writer
