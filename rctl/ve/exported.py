"""What a spec has of units, containers, users and other cgroups that rctl did not make: their names, their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from ..adjust import owner
from ..adjust.engine import Options, Wish, transact
from ..adjust.site import Site
from ..adjust.steps import Set
from ..adjust.writers import systemd
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import NotFoundError, RctlError, UsageError
from ..formats import Write
from ..names.identify import Identify
from ..names.look_up import Elsewhere
from ..names.patterns import one
from ..sample import limits as held


def keys_of(tree: Tree, names: Iterable[str]) -> dict[str, str]:
    """By the names of cgroups that rctl did not make, those that a spec has for them: with the kind, or the path."""
    identify, all_named = Identify(tree), Elsewhere(tree)
    return {name: _key_of(tree, tree.path(name), identify, all_named) for name in names}


def _key_of(tree: Tree, path: str, identify: Identify, all_named: Elsewhere) -> str:
    key = identify(path).name
    key = key if ":" in key or "/" in key else f"unit:{key}"
    with suppress(NotFoundError, UsageError):
        if tree.path(one(tree, key, all_named)) == path:
            return key
    return path


def added(site: Site, name: str, texts: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The texts of the files without entries that a unit has by itself: by default, or from its own file.

    ``rctl apply`` would store such a value once more. A note says what was left out. If no plan can be made, because
    the caller has no right to change the limits, nothing is left out.
    """
    try:
        writes = _by_itself(site, name, texts)
    except RctlError:
        return dict(texts)
    if writes:
        keys = dict.fromkeys(f"{write.file.name} {write.key}".strip() for write in writes)
        notes.append(f"{name}: left out, because the unit has it by itself: {', '.join(keys)}")
    found = dict(texts)
    for write in writes:
        lines = found[write.file.name].splitlines(keepends=True)
        found[write.file.name] = "".join(line for line in lines if write.key and line.split()[:1] != [write.key])
    return {file: text for file, text in found.items() if text or not texts[file]}


def _by_itself(site: Site, name: str, texts: Mapping[str, str]) -> list[Write]:
    """The entries that an adjustment would store, and that the unit has by itself."""
    if not owner.applies():
        return []
    entries = [one for one in held.changed(dict(texts)) if one[0] is not core.FREEZE]
    writes = [Write(file, file.line(entry).strip(), key) for file, key, entry in entries]
    account = transact(site, [Wish(name, tuple(writes))], Options(dry_run=True))
    steps = [step for one in account.outcomes for step in one.steps if isinstance(step, Set) and step.old == step.new]
    stored = {(step.file, step.key) for step in steps}
    writes = [write for write in writes if (write.file.name, write.key) in stored]
    if not writes:
        return []
    with site.tree.open_ve(name) as ve:
        systemd.check(site.tree, ve.path)
        own = systemd.by_itself(ve, writes)
    return [write for write, has in zip(writes, own, strict=True) if has]
