"""Reads the present state before planning, and finds the controllers that must be switched first."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree, enabled
from ...controllers import core
from ...errors import NotAvailableError, RctlError
from ...formats import Whole, Write
from ...limits import file_named
from .. import cpuset_lists, owner, writers
from ..enabling.enable import merged
from ..request import Change, Options, Through, Wish
from ..steps import Disable, Enable
from ..writers import files
from ..writers.base import Writer

Ways = Mapping[tuple[str, str], Writer]
"""The writer of each entry, by file and key."""


class Seen(msgspec.Struct, frozen=True):
    """The present state and the wishes, the controllers to switch, and notes for people.

    ``open``: names of files that may come with a controller that is to be enabled; that shows only then.
    """

    changes: list[Change]
    switches: Sequence[Enable | Disable]
    notes: list[str]
    open: set[str]


def look(
    tree: Tree,
    wishes: Sequence[Wish],
    opened: Sequence[Cgroup],
    options: Options,
    known: Mapping[str, Sequence[Writer]],
) -> Seen:
    """Read the present state, and find the controllers that must be enabled first.

    ``known``: the writers of some VEs by path.

    Files are opened for writing here, so that a missing privilege shows before anything is changed.
    """
    changes: list[Change] = []
    enables: list[Enable] = []
    notes: list[str] = []
    unknown: set[str] = set()
    for wish, ve in zip(wishes, opened, strict=True):
        texts = Texts(ve)
        ways = _ways(tree, ve, wish, options.till_boot, known.get(ve.path))
        if ways is not None and not wish.own:
            notes += _forgotten(ve.path, ways, wish, options.till_boot)
        wanted, clears = wish.writes, False
        coming: tuple[str, ...] = ()
        for write in wanted:
            name = write.file.name
            if write.if_there and not ve.has(name):
                texts[name] = None
                continue
            writer = files if ways is None else ways[name, write.key]
            try:  # it stays open for the write, unless an owner writes it
                texts[name] = ve.edit(name, write.exact) if writer is files else ve.read(name)
            except NotAvailableError:
                texts[name] = None
                if _is_so_without(tree, ve, write) or (ways and _comes_along(ways, wanted, write)):
                    continue
                steps = writer.missing(tree, ve.path, write.file)
                enables += steps
                coming += (write.file.controller,) * bool(steps)
            clears = clears or not write.wanted
        if coming:
            unknown |= _unknown(wanted, coming)
        if wish.expected and not options.force:
            _check_unchanged(ve, wish, texts)
        if clears:
            wanted = tuple(write if write.wanted else _with_tasks(write, ve, texts, notes) for write in wanted)
        changes.append(
            Change(ve.path, wanted, texts, _through(ways, ve, wish, texts, options, notes) if ways else None)
        )
    return Seen(changes, merged(enables), notes, unknown)


def _ways(tree: Tree, ve: Cgroup, wish: Wish, runtime: bool, found: Sequence[Writer] | None) -> Ways | None:
    """The writer of each entry that can be there; ``None``: all go to ``files``.

    What is put back goes to the writer that had set it.
    """
    if found is None:
        if writers.only_files(ve.path):
            return None
        found = writers.of(tree, ve.path, runtime, wish.before)
    before = {at: name for at, (name, _) in (wish.own or {}).items()}
    there = [write for write in wish.writes if not write.if_there or ve.has(write.file.name)]
    return writers.chosen(found, ve, there, before)


def _forgotten(path: str, ways: Ways, wish: Wish, runtime: bool) -> list[str]:
    """A note if the cgroup is a container's, and its manager does not store these limits."""
    if len(path) <= owner.SHORT:
        return []
    passing = {core.FREEZE.name, *(write.file.name for write in wish.writes if write.if_there)}
    lost = dict.fromkeys(name for (name, _), writer in ways.items() if not writer.STORES_ONLY and name not in passing)
    if not lost:
        return []
    from ...names.owners import owner_of

    found = owner_of(path, lambda _: False)
    if found.container is None or found.kind == "kubernetes":
        return []
    who, remedy = found.kind, ""
    if who == "podman" and not runtime and path == found.container.inner:
        from ..writers import podman

        remedy = podman.to_store(path, lost)
    return [
        f"{path}: {who} does not store these limits: {', '.join(lost)}. When the container starts again, it has those "
        f"that {who} stores{remedy}"
    ]


def _through(
    ways: Ways, ve: Cgroup, wish: Wish, texts: Texts, options: Options, notes: list[str]
) -> dict[tuple[str, str], Through]:
    """The entries that another writer than ``files`` sets: back to the form that they had, where that is wished."""
    by_writer: dict[str, tuple[Writer, list[Write]]] = {}
    for write in wish.writes:
        if (writer := ways.get((write.file.name, write.key), files)) is not files:
            by_writer.setdefault(writer.NAME, (writer, []))[1].append(write)
    found, own = {}, wish.own or {}
    for name, (writer, writes) in by_writer.items():
        form = partial(writer.form, runtime=options.till_boot)
        for write, kept in zip(writes, writer.kept(ve, writes, options.runtime, texts, notes), strict=True):
            at = write.file.name, write.key
            back = own.get(at, ("", ""))
            found[at] = Through(name, kept, back[1] if back[0] == name else None, form)
    return found


def _comes_along(ways: Ways, writes: Sequence[Write], write: Write) -> bool:
    """True if the file is written after another entry whose owner enables the controller of both."""
    others = [one for one in writes if ways.get((one.file.name, one.key), files) is not files]
    return ways[write.file.name, write.key] is files and write.file.controller in {
        one.file.controller for one in others
    }


def _is_so_without(tree: Tree, ve: Cgroup, write: Write) -> bool:
    """True if the wish is fulfilled without the controller, which would only cost the VE."""
    name, old = write.file.controller, write.file.entry(None, write.key)
    if isinstance(write.file, Whole):
        return False
    try:
        if write.file.merge(old, write.wanted) != old:
            return False
    except ValueError:
        return False  # the plan reports it
    return name not in enabled(ve, core.CONTROLLERS) and name in enabled(tree.root, core.CONTROLLERS)


def _unknown(writes: Sequence[Write], coming: Collection[str]) -> set[str]:
    """Files that would change and that the kernel may or may not have, of controllers that are ``coming``."""
    return {
        write.file.name
        for write in writes
        if write.if_there and write.file.controller in coming
        if write.file.merge(old := write.file.entry(None, write.key), write.wanted) != old
    }


def _with_tasks(write: Write, ve: Cgroup, texts: Texts, notes: list[str]) -> Write:
    """Replace a list that cannot be emptied under tasks (``cpuset_lists``).

    This is done in the plan and not in the write, so that journal, undo and recover know the final text.
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
                f"{name}: on {ve.path} is {exactly(name, now)} now; it was {exactly(name, entry)} after that "
                "adjustment. Look at it with rctl show, or overwrite it with --force"
            )
