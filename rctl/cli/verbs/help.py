"""``rctl help``: the help of verbs, limits and topics."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ...console.declare import Argument


def help_(
    context: typer.Context,
    verb: Annotated[
        list[str] | None, Argument(metavar="[VERB...]", help="A verb, or two for a group: bench adjust")
    ] = None,
) -> None:
    """Show the help of a verb, a limit or a topic.

    rctl help set prints the same as rctl set --help. rctl help limits lists all limits, and rctl help KEY describes
    one. rctl help caveats lists values that the kernel takes and does not follow.

    Example: rctl help set; rctl help memory.high
    """
    import sys
    from difflib import get_close_matches

    from ...console import terminal
    from ...console.output import Shown, say
    from ...errors import UsageError

    if verb and len(verb) == 1 and (lines := _topic(verb[0])):
        room = terminal.width(sys.stdout)
        for line in lines:
            say(*terminal.wrapped(line, 4, room))
        return
    above = context.find_root()
    command: Any = above.command
    for word in verb or ():
        found = getattr(command, "commands", {}).get(word)
        if found is None:
            if known := _elsewhere(word):
                raise UsageError(f"help: {word[:64]!r}: rctl calls it {known}. Write rctl help {known.split()[0]}")
            near = get_close_matches(word[:64], getattr(command, "commands", ()), 1)
            remedy = f"Write rctl help {near[0]}" if near else "See rctl --help, or rctl help limits"
            raise UsageError(f"help: {word[:64]!r}: there is no such verb, limit or topic. {remedy}")
        above = command.context_class(found, info_name=word, parent=above, **found.context_settings)
        command = found
    say(Shown(command.get_help(above)))


def _topic(word: str) -> list[str]:
    """The text about a word that is no verb; nothing for an unknown word."""
    if word == "caveats":
        from ...adjust.caveats.caveats import CAVEATS
        from ...limits import key_of

        return [line for row in CAVEATS for line in (", ".join(map(key_of, row.files)), f"    {row.about}")]
    if word == "limits":
        from ...limit_reference import limits

        return [line for limit in limits() for line in (limit.key, f"    {limit.about}")]
    if "." in word or word == "vcpus":
        return _limit(word)
    return _group(word)


def _group(word: str) -> list[str]:
    """The limits of a resource, ``memory`` or ``cpu``; nothing for another word."""
    from ...limit_reference import limits

    return [
        line for limit in limits() if limit.key.startswith(f"{word}.") for line in (limit.key, f"    {limit.about}")
    ]


def _elsewhere(word: str) -> str:
    """rctl's name of another tool's limit, ``MemoryMax``; empty for an unknown word."""
    from ...limit_reference import limits
    from ...other_tools import meant, plain

    same = (limit.key for limit in limits() if plain(limit.key) == plain(word))
    return meant(word) or next(same, "")


def _limit(key: str) -> list[str]:
    from ... import assignments
    from ...adjust.caveats.caveats import CAVEATS
    from ...limit_reference import named

    if (limit := named(key)) is None:
        assignments.get({}, key)  # raises the error for a wrong key
        return []
    since = f", since Linux {limit.file.since}" if limit.file else ""
    rows = [
        limit.key,
        f"    {limit.about}",
        f"    Values: {limit.values.replace('`', '')}",
        f"    File: {' and '.join(limit.files)}{since}. Unit: {limit.unit}. Default: {limit.default}",
    ]
    return rows + [f"    Caveat: {row.about}" for row in CAVEATS if set(limit.files) & set(row.files)]
