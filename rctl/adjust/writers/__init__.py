"""Writers: the ways to change an entry of a cgroup. One adjustment may use several of them.

A writer is a module with the functions of ``base.Writer``. A change goes through the first writer in ``WRITERS`` that
may write to the cgroup and can express the entry. The step names its writer, so the same writer puts back the old form,
also after a crash and in an undo.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import NotAvailableError
from ...formats import Write
from ..steps import Set, SetThrough
from . import files
from .base import Writer

WRITERS: tuple[Writer, ...] = (files,)
"""All writers, in the order of preference: the way of an owner comes before its files."""


def only_files() -> bool:
    """True if there is no other writer than ``files``."""
    return (files,) == WRITERS


def of(tree: Tree, path: str) -> Sequence[Writer]:
    """The writers that may write to the cgroup ``path``, in the order of preference.

    Raises the NotAvailableError of the last writer if none may.
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


def chosen(writers: Sequence[Writer], write: Write, path: str) -> Writer:
    """The first of them that can express this entry. Raises NotAvailableError if none can."""
    for writer in writers:
        if writer.expresses(write):
            return writer
    names = " and ".join(writer.NAME for writer in writers)
    raise NotAvailableError(
        f"{write.file.name}: {names} cannot set it on {path}. Leave it out, or ask the owner of {path}"
    )


def named(name: str) -> Writer | None:
    """The writer with this name; ``None`` if this rctl has none."""
    return next((writer for writer in WRITERS if name == writer.NAME), None)


def write(cgroup: Cgroup, steps: Sequence[Set], deadline: float) -> list[str]:
    """Run steps of one cgroup and one writer. Memory is lowered gently, whoever writes. Returns notes for people.

    ``deadline``: seconds for freeing memory. Raises NotAvailableError if this rctl does not know the writer.
    """
    writer: Writer | None = files
    if isinstance(step := steps[0], SetThrough) and (writer := named(step.writer)) is None:
        raise NotAvailableError(f"{step.file}: this rctl does not know {step.writer}, which has set it on {step.path}")
    assert writer is not None
    with files.gently(cgroup, steps, deadline) as notes:
        notes += writer.write(cgroup, steps)
    return notes
