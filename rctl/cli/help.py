"""``rctl help``: a verb's help among all others."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def help_of(
    context: typer.Context,
    verb: Annotated[
        list[str] | None, typer.Argument(metavar="[VERB...]", help="A verb, or two for a group: bench adjust")
    ] = None,
) -> None:
    """Show what a verb does and takes, as rctl VERB --help does.

    rctl help caveats shows what the kernel takes and does not follow.

    Example: rctl help set
    """
    from ..console.output import Shown, say
    from ..errors import UsageError

    if verb == ["caveats"]:
        from ..adjust.caveats import CAVEATS
        from ..limits import key_of

        for row in CAVEATS:
            say(", ".join(map(key_of, row.files)), f"    {row.about}")
        return
    above = context.find_root()
    command: Any = above.command
    for word in verb or ():
        found = getattr(command, "commands", {}).get(word)
        if found is None:
            raise UsageError(f"help: {word[:64]!r}: there is no such verb. See rctl --help")
        above = command.context_class(found, info_name=word, parent=above, **found.context_settings)
        command = found
    say(Shown(command.get_help(above)))
