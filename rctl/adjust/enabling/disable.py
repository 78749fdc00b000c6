"""Disables controllers that an adjustment enabled, unless they are needed: the reverse of ``enable``."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree, enabled
from ...controllers.core import CONTROLLERS, SUBTREE_CONTROL, enable_text
from ...errors import GoneError, KernelError, NotFoundError, RctlError
from ...formats import DEVICE, File, Whole
from ...limits import FILES, file_named
from .. import cpuset_lists
from ..request import Change
from ..steps import Disable, Enable, Step


def unneeded(
    tree: Tree, given: Collection[Enable], changes: Sequence[Change], removed: Collection[str] = ()
) -> list[Disable]:
    """The steps that disable controllers of ``given`` that are not needed after ``changes``, children first.

    ``removed``: paths of cgroups that are removed in the same adjustment; their limits do not count.
    """
    if not given:
        return []
    after = {change.path: change for change in changes}
    going: dict[str, frozenset[str]] = {}
    for step in sorted(given, key=lambda step: step.path.rstrip("/").count("/"), reverse=True):
        if step.path in removed:
            continue
        apart = {path.rpartition("/")[2] for path in removed if (path.rpartition("/")[0] or "/") == step.path}
        with suppress(NotFoundError, GoneError), tree.walk(step.path) as cgroup:
            on = enabled(cgroup, SUBTREE_CONTROL).intersection(step.controllers)
            if left := on - used(on, cgroup, apart=apart, after=after, going=going):
                going[step.path] = left
    return [Disable(path, tuple(sorted(names))) for path, names in going.items()]


def take_back(cgroup: Cgroup, step: Disable) -> None:
    """Run the step. A controller that is needed by now stays enabled."""
    on = enabled(cgroup, SUBTREE_CONTROL).intersection(step.controllers)
    if left := on - used(on, cgroup):
        disable(cgroup, left)


def take_all_back(steps: Iterable[Step], cgroups: Mapping[str, Cgroup]) -> list[str]:
    """Run the steps after VEs were removed. Returns notes for people about failures."""
    notes: list[str] = []
    for step in steps:
        if isinstance(step, Disable):
            try:
                take_back(cgroups[step.path], step)
            except GoneError:
                continue
            except RctlError as error:
                notes.append(f"{error}; {', '.join(step.controllers)} stay enabled in {step.path}")
    return notes


def disable(cgroup: Cgroup, controllers: Iterable[str]) -> None:
    """Disable controllers for the children. One that a child gives to its own children by now stays enabled."""
    try:
        cgroup.write(SUBTREE_CONTROL, enable_text(controllers, "-"))
    except KernelError as error:
        if error.errno != errno.EBUSY:
            raise


def used(
    controllers: Iterable[str],
    cgroup: Cgroup,
    *,
    apart: Collection[str] = (),
    after: Mapping[str, Change] | None = None,
    going: Mapping[str, Collection[str]] | None = None,
) -> set[str]:
    """The controllers that are needed: a child has a limit of theirs, or gives them to its own children.

    ``apart``: names of children that do not count. ``after``: changes that will be made by then, by path. ``going``:
    controllers that will be disabled for the children of a path by then.
    """
    found: set[str] = set()
    for name in cgroup.children():
        if name in apart:
            continue
        with suppress(NotFoundError, GoneError), cgroup.child(name) as child:
            given = enabled(child, SUBTREE_CONTROL).difference((going or {}).get(child.path, ()))
            change = (after or {}).get(child.path)
            found |= {one for one in controllers if one not in found and (one in given or _set(child, one, change))}
    return found


def _set(cgroup: Cgroup, controller: str, change: Change | None) -> bool:
    for name in _limits(cgroup, controller):
        text = change.texts[name] if change else cgroup.read_if_there(name)
        if text is not None and _is_set(file_named(name), text, change):
            return True
    return False


def limits(cgroup: Cgroup) -> list[str]:
    """All files of the cgroup that hold limits, of each of its controllers."""
    own = [name for one in sorted(enabled(cgroup, CONTROLLERS)) for name in _limits(cgroup, one)]
    return [*own, *(file.name for file in FILES if not file.controller)]


def _limits(cgroup: Cgroup, controller: str) -> list[str]:
    """The controller's files that hold limits; if their names depend on the machine, those that exist."""
    known = [file.name for file in FILES if file.controller == controller]
    return known or [
        name for name in cgroup.files() if name.startswith(f"{controller}.") and name.endswith((".max", ".min", ".low"))
    ]


def _is_set(file: File, text: str, change: Change | None) -> bool:
    entries = {key: file.entry(text, key) for key in keys(text)}
    for write in change.writes if change else ():
        if write.file.name == file.name:
            entries[write.key] = file.merge(file.entry(text, write.key), write.wanted)
    return any(not is_default(file, key, entry) for key, entry in entries.items())


def keys(text: str) -> list[str]:
    """Keys of a keyed file (``io.max``, ``io.weight``); the empty key for a file with a single entry."""
    heads = [line.split()[0] for line in text.splitlines() if line.strip()]
    return [head for head in heads if head == "default" or DEVICE.fullmatch(head)] or [""]


def is_default(file: File, key: str, entry: str) -> bool:
    """True if the entry has the value of a new cgroup, in any form."""
    if isinstance(file, Whole):  # a file that rctl does not know, such as misc.max
        none = "max" if file.name.endswith(".max") else "0"
        return all(line.split()[-1].rpartition("=")[2] == none for line in entry.splitlines() if line.strip())
    return entry in ("", file.default, file.entry("", key)) or (
        cpuset_lists.applies(file) and entry == cpuset_lists.everything(file)
    )
