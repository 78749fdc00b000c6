"""A VE that an adjustment made is removed only as it was left: later settings would be lost with it."""

from __future__ import annotations

from ...cgroupfs.tree import Tree
from ...controllers import core
from ...limits import file_named
from ..enabling import disable
from ..records.record_format import Record
from ..steps import by_entry

Entry = tuple[str, str]
"""A file's name, and the key of an entry in it."""


def as_left(tree: Tree, record: Record, path: str) -> dict[Entry, str]:
    """The entries of the VE ``path`` by (file, key), as the record, which made it, left them; all others as new.

    An entry that says the same in another form, or cannot be known, counts as it is. A frozen state is no limit.
    """
    last = {key[1:]: steps[-1] for key, steps in by_entry(record.steps).items() if key[0] == path}
    beside = {name for step in last.values() for name, _ in step.disturbed}
    wanted = {entry: step.new for entry, step in last.items() if step.exact and step.file != core.FREEZE.name}
    with tree.walk(path) as ve:
        for name in disable.limits(ve):
            if name == core.FREEZE.name or name in beside or (text := ve.read_if_there(name)) is None:
                continue
            file = file_named(name)
            for key in disable.keys(text):
                now = file.entry(text, key)
                if (name, key) not in last:
                    wanted[name, key] = now if disable.is_default(file, key, now) else file.entry(None, key)
    return wanted
