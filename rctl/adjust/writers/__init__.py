"""Writers: the ways to change an entry of a cgroup. One adjustment may use several of them.

A writer is a module with the functions of ``base.Writer``. A change goes through the first writer in ``WRITERS`` that
may write to the cgroup and can express the entry. The step names its writer, so the same writer puts back the old form,
also after a crash and in an undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import NotAvailableError
from ...formats import Write
from ..steps import Set, SetThrough
from . import files, systemd
from .base import Writer

WRITERS: tuple[Writer, ...] = (systemd, files)
"""All writers, in the order of preference: the way of an owner comes before its files."""


def only_files() -> bool:
    """True if no cgroup of this host has another writer than ``files``."""
    return not any(writer is not files and writer.present() for writer in WRITERS)


def of(tree: Tree, path: str) -> Sequence[Writer]:
    """The writers that may write to the cgroup ``path``, in the order of preference. The last one is ``files``.

    Raises the NotAvailableError of ``files`` if none may.
    """
    found: list[Writer] = []
    for writer in WRITERS:
        if writer is files:
            continue
        with suppress(NotAvailableError):
            writer.check(tree, path)
            found.append(writer)
    if not found:
        files.check(tree, path)
    return (*found, files)


def chosen(writers: Sequence[Writer], write: Write, path: str) -> Writer:
    """The first of them that can express this entry. Raises NotAvailableError if an owner would reset it."""
    for writer in writers:
        if writer.expresses(write, path):
            return writer
        if writer.resets(write.file, path):
            unit, setting = path.rpartition("/")[2], " and ".join(write.file.systemd) or "it"
            raise NotAvailableError(
                f"{write.file.name}: {writer.NAME} sets it on {path} when the unit starts, and would undo a change. "
                f"Set {setting} in the unit's file: systemctl edit {unit}"
            )
    raise NotAvailableError(f"{write.file.name}: cannot be set on {path}. Leave it out")


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
