"""Verbs by name: rows of a table, or files of a folder. The file of a verb is imported when the verb is first used.

So the start of rctl, the list of verbs and completion cost the same, whatever the number of verbs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
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
        return _command(found, self.name, self.hidden)


class VerbFile:
    """A verb with a file of its own, ``FOLDER/NAME.py``. Its function has the same name, or ``NAME_``."""

    hidden = False

    def __init__(self, package: str, folder: str, name: str) -> None:
        self.name = name
        self.place = f"{package}.{name}"
        self._file = f"{folder}/{name}.py"

    @cached_property
    def about(self) -> str:
        """Its purpose: the first line of the function's docstring, read without importing the file."""
        with open(self._file, encoding="utf-8") as file:
            found = re.search(rf'^def {self.name}_?\(.*?"""(.*?)(?:\n|""")', file.read(), re.DOTALL | re.MULTILINE)
        return found[1] if found else ""

    def load(self) -> Any:
        """Typer's command. Imports its file."""
        module = import_module(self.place)
        return _command(getattr(module, self.name, None) or getattr(module, f"{self.name}_"), self.name, hidden=False)


def verb_files(package: str, folder: str, order: Sequence[str]) -> list[VerbFile]:
    """A verb for each file of a folder; those in ``order`` come first."""
    names = sorted(file[:-3] for file in os.listdir(folder) if file.endswith(".py") and not file.startswith("_"))
    ranks = {name: rank for rank, name in enumerate(order)}
    return [VerbFile(package, folder, name) for name in sorted(names, key=lambda name: ranks.get(name, len(ranks)))]


def _command(function: Any, name: str, hidden: bool) -> Any:
    one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    one.command(name, cls=class_of(function), hidden=hidden)(function)
    return typer.main.get_command(one)


class Verbs(Mapping[str, Any]):
    """Typer's commands by name; each is made when it is first used. ``shown``: the rows of the list of verbs."""

    def __init__(self, rows: Sequence[VerbRow | VerbFile]) -> None:
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

    def __init__(self, rows: Sequence[VerbRow | VerbFile], **more: Any) -> None:
        super().__init__(rich_markup_mode=None, **more)
        self.commands = Verbs(rows)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does. A group that has a verb ``list`` means that one if none is named."""
        if "list" in self.commands and (not args or (args[0][:1] == "-" and args[0] not in ctx.help_option_names)):
            args = ["list", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs from their rows, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(row.name, row.about) for row in self.commands.shown])
