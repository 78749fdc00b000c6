"""Verbs as Typer's commands, made from their rows. Only help, man pages and wrong usage need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from .rows import Verbs, VerbSource
from .verb import class_of, for_typer


def _command(row: VerbSource) -> Any:
    """Typer's command or group. Imports its file."""
    found = row.load()
    if isinstance(found, Sequence):
        return VerbGroup(found, name=row.name, help=row.about)
    one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    one.command(row.name, cls=class_of(found), hidden=row.hidden)(for_typer(found))
    return typer.main.get_command(one)


class VerbGroup(TyperGroup):
    """A group of verbs in the form that Typer takes, made from rows."""

    commands: Any

    def __init__(self, rows: Sequence[VerbSource], **more: Any) -> None:
        super().__init__(rich_markup_mode=None, **more)
        self.commands = Verbs(rows, _command)

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
