"""What a spec has of units, containers, users and other cgroups that rctl did not make: their names, their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from ..adjust import owner
from ..adjust.engine import Options, Wish, transact
from ..adjust.site import Site
from ..adjust.steps import SetThrough
from ..adjust.writers import EntryKey, scope, systemd
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import NotFoundError, RctlError, UsageError
from ..formats import Write
from ..names.identify import Identify
from ..names.look_up import Elsewhere
from ..names.patterns import one
from ..sample import limits as held
from ..spec import check_name


def keys_of(tree: Tree, names: Iterable[str]) -> dict[str, str]:
    """By the names of cgroups that rctl did not make, those that a spec has for them: with the kind, or the path.

    Empty for one that a spec cannot name: the root, and a path that is a pattern.
    """
    identify, all_named = Identify(tree), Elsewhere(tree)
    return {name: _key_of(tree, tree.path(name), identify, all_named) for name in names}


def _key_of(tree: Tree, path: str, identify: Identify, all_named: Elsewhere) -> str:
    key = identify(path).name
    for each in (key if ":" in key or "/" in key else f"unit:{key}", path):
        with suppress(NotFoundError, UsageError):
            check_name(each)
            if tree.path(one(tree, each, all_named)) == path:
                return each
    return ""


def without_owners(site: Site, name: str, texts: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The texts of the files without entries that an owner sets anyway: by default, from the unit's file, as podman.

    ``rctl apply`` would store such a value once more. A note says what was left out. If no plan can be made, because
    the caller has no right to change the limits, nothing is left out.
    """
    try:
        left_out = _set_anyway(site, name, texts)
    except RctlError:
        return dict(texts)
    if left_out:
        keys = dict.fromkeys(f"{file} {key}".strip() for file, key in left_out)
        notes.append(f"{name}: left out, because its owner sets it anyway: {', '.join(keys)}")
    found = dict(texts)
    for file, key in left_out:
        lines = found[file].splitlines(keepends=True)
        found[file] = "".join(line for line in lines if key and line.split()[:1] != [key])
    return {file: text for file, text in found.items() if text or not texts[file]}


def _set_anyway(site: Site, name: str, texts: Mapping[str, str]) -> list[EntryKey]:
    """The entries that an adjustment would only store: those of the manager, and those of podman inside a scope."""
    if not owner.applies():
        return []
    entries = [entry for entry in held.changed(dict(texts)) if entry[0] is not core.FREEZE]
    writes = {(file.name, key): Write(file, file.line(entry).strip(), key) for file, key, entry in entries}
    account = transact(site, [Wish(name, tuple(writes.values()))], Options(dry_run=True))
    steps = [step for outcome in account.outcomes for step in outcome.steps if isinstance(step, SetThrough)]
    stored = {(step.file, step.key): step.writer for step in steps if step.old == step.new}
    found = [at for at, writer in stored.items() if writer == scope.NAME]
    if len(found) < len(stored):
        with site.tree.open_ve(name) as ve:
            systemd.check(site.tree, ve.path)
            others = [at for at in stored if at not in found]
            own = systemd.by_itself(ve, [writes[at] for at in others])
        found += [at for at, has in zip(others, own, strict=True) if has]
    return found
