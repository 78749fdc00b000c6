"""Verbs as a table: the name and the purpose of each. The file of a verb is imported when the verb is first used.

So the start of rctl, the list of verbs and completion cost the same, whatever the number of verbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from .verb import class_of


class VerbRow(NamedTuple):
    """A verb, or a group of verbs.

    ``place``: ``MODULE:NAME`` of its function, or of the rows of a group. ``about``: its purpose in one line; the
    function's docstring begins with the same line. ``hidden``: it is in no list.
    """

    name: str
    place: str
    about: str
    hidden: bool = False

    def load(self) -> Any:
        """Typer's command or group. Imports its file."""
        module, _, name = self.place.partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, Sequence):
            return VerbGroup(found, name=self.name, help=self.about)
        one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        one.command(self.name, cls=class_of(found), hidden=self.hidden)(found)
        return typer.main.get_command(one)


class Verbs(Mapping[str, Any]):
    """Typer's commands by name; each is made when it is first used. ``shown``: the rows of the list of verbs."""

    def __init__(self, rows: Sequence[VerbRow]) -> None:
        self._rows = {row.name: row for row in rows}
        self._made: dict[str, Any] = {}
        self.shown = [row for row in rows if not row.hidden]

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._rows[name].load()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class VerbGroup(TyperGroup):
    """A group of verbs in the form that Typer takes, made from rows."""

    commands: Any

    def __init__(self, rows: Sequence[VerbRow], **more: Any) -> None:
        super().__init__(rich_markup_mode=None, **more)
        self.commands = Verbs(rows)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs from their rows, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(row.name, row.about) for row in self.commands.shown])
