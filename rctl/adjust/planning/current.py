"""Read what is there before anything is planned, and find what must be so first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree, enabled
from ...controllers import core
from ...errors import NotAvailableError, RctlError
from ...formats import Whole, Write
from ...limits import file_named
from .. import cpuset_lists, writers
from ..enabling.enable import merged
from ..request import Change, Options, Through, Wish
from ..steps import Disable, Enable
from ..writers import files
from ..writers.base import Writer


class Seen(NamedTuple):
    """What is there and what is wished, which controllers must be switched, and notes for people.

    ``open``: names of files that may come with a controller which is to be enabled. Whether they do shows only then.
    """

    changes: list[Change]
    switches: Sequence[Enable | Disable]
    notes: list[str]
    open: set[str]


def look(tree: Tree, wishes: Sequence[Wish], opened: Sequence[Cgroup], options: Options) -> Seen:
    """Read what is there, and find the controllers that must be enabled first.

    Files are opened for writing here, so that a missing privilege shows before anything is changed.
    """
    changes: list[Change] = []
    enables: list[Enable] = []
    notes: list[str] = []
    unknown: set[str] = set()
    plain = writers.only_files()
    for wish, ve in zip(wishes, opened, strict=True):
        texts = Texts(ve)
        ways = None if plain else writers.of(tree, ve.path)
        through: dict[tuple[str, str], Through] | None = None
        wanted, clears = wish.writes, False
        coming: tuple[str, ...] = ()
        for write in wanted:
            name = write.file.name
            if write.if_there and not ve.has(name):
                texts[name] = None
                continue
            writer = files if ways is None else writers.chosen(ways, write.file, ve.path)
            try:
                texts[name] = ve.edit(name, write.exact) if writer is files else writer.read(ve, write)
            except NotAvailableError:
                texts[name] = None
                if _is_so_without(tree, ve, write):
                    continue
                enables += writer.missing(tree, ve.path, write.file)
                coming += (write.file.controller,)
            if writer is not files:
                through = through or {}
                through[name, write.key] = _through(writer, ve, write, wish)
            clears = clears or not write.wanted
        if coming:
            unknown |= _unknown(wanted, coming)
        if wish.expected and not options.force:
            _check_unchanged(ve, wish, texts)
        if clears:
            wanted = tuple(write if write.wanted else _with_tasks(write, ve, texts, notes) for write in wanted)
        changes.append(Change(ve.path, wanted, texts, through))
    return Seen(changes, merged(enables), notes, unknown)


def _through(writer: Writer, ve: Cgroup, write: Write, wish: Wish) -> Through:
    """How a writer other than ``files`` sets the entry: back to the form that it had, where that is wished."""
    back = (wish.own or {}).get((write.file.name, write.key))
    return Through(writer.NAME, writer.kept(ve, write), back.own if back and back.writer == writer.NAME else "")


def _is_so_without(tree: Tree, ve: Cgroup, write: Write) -> bool:
    """Whether the wish is what holds as long as nobody enables the controller, which then costs the VE for nothing."""
    name, old = write.file.controller, write.file.entry(None, write.key)
    if isinstance(write.file, Whole):
        return False
    try:
        if write.file.merge(old, write.wanted) != old:
            return False
    except ValueError:
        return False  # for the plan to tell
    return name not in enabled(ve, core.CONTROLLERS) and name in enabled(tree.root, core.CONTROLLERS)


def _unknown(writes: Sequence[Write], coming: Collection[str]) -> set[str]:
    """Files that the kernel may or may not have, of controllers that are ``coming``, and that would change."""
    return {
        write.file.name
        for write in writes
        if write.if_there and write.file.controller in coming
        if write.file.merge(old := write.file.entry(None, write.key), write.wanted) != old
    }


def _with_tasks(write: Write, ve: Cgroup, texts: Texts, notes: list[str]) -> Write:
    """A list that cannot be emptied under tasks is widened instead (``widen``).

    Planned here and not left to the write, so that journal, undo and recover know what the file will hold.
    """
    now = (texts[write.file.name] or "").strip() if cpuset_lists.applies(write.file) else ""
    if not now or not core.parse({core.EVENTS: texts[core.EVENTS] or ""}).populated:
        return write
    wanted = cpuset_lists.everything(write.file)
    if now != wanted:
        wanted, note = cpuset_lists.instead(ve, write.file)
        notes.append(note)
    return msgspec.structs.replace(write, wanted=wanted)


def _check_unchanged(ve: Cgroup, wish: Wish, texts: Texts) -> None:
    from ...assignments import exactly

    for (name, key), entry in wish.expected.items():
        now = file_named(name).entry(texts[name], key)
        if now != entry and not file_named(name).unchanged(now, entry):
            raise RctlError(
                f"{name}: on {ve.path} is {exactly(name, now)} by now, and was {exactly(name, entry)} after that "
                "adjustment. "
                "Look at it with rctl show, or overwrite it with --force"
            )
