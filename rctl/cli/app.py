"""All verbs in one table. Each verb's file imports what it needs when it runs, so that starting costs little."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Annotated, Any

import typer

from . import (
    alike,
    bare,
    bench,
    complete,
    doctor,
    exporter,
    label,
    ls,
    past,
    processes,
    reclaim,
    schema,
    set,  # noqa: A004
    show,
    spec,
)
from .verb import Changes, Verb

app = typer.Typer(
    name="rctl",
    help="Set resource limits of containers, services and cgroups while they run.\n\n"
    "A VE is a cgroup with its processes: one of rctl's own by its name (web1), any other by its path (/docker/ID).",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from ..version import __version__
        from .output import say

        say(f"rctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass


def help_of(
    context: typer.Context,
    verb: Annotated[
        list[str] | None, typer.Argument(metavar="[VERB...]", help="A verb, or two for a group: bench adjust")
    ] = None,
) -> None:
    """Show what a verb does and takes, as rctl VERB --help does; caveats: what the kernel takes and does not follow.

    Example: rctl help set
    """
    from ..errors import UsageError
    from .output import Shown, columns, say

    if verb == ["caveats"]:
        from ..adjust.caveats import CAVEATS
        from ..limits import key_of

        columns(("LIMIT", "WHAT THE KERNEL DOES"), [(", ".join(map(key_of, row.files)), row.about) for row in CAVEATS])
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


app.command("doctor", cls=Verb)(doctor.doctor)
app.command("ls", cls=Verb)(ls.ls)
app.command("show", cls=Verb)(show.show)
app.command("get", cls=Verb)(alike.get)
app.command("set", cls=set.Set)(set.set_limits)
app.command("reset", cls=Changes)(alike.reset)
app.command("copy", cls=Changes)(alike.copy)
app.command("apply", cls=Changes)(spec.apply)
app.command("diff", cls=Verb)(spec.diff)
app.command("export", cls=Verb)(alike.export)
app.command("undo", cls=Changes)(past.undo)
app.command("history", cls=Verb)(past.history)
app.command("recover", cls=Changes)(past.recover)
app.command("run", cls=bare.Run, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": True})(
    bare.run
)
app.command("attach", cls=Changes)(bare.attach)
app.command("ps", cls=Verb)(processes.ps)
app.command("freeze", cls=Changes)(processes.freeze)
app.command("thaw", cls=Changes)(processes.thaw)
app.command("kill", cls=processes.Kill)(processes.kill)
app.command("reclaim", cls=Changes)(reclaim.reclaim)
app.command("label", cls=Changes)(label.label)
app.command("rename", cls=Changes)(alike.rename)
app.command("rm", cls=Changes)(bare.rm)
app.command("schema", cls=Verb)(schema.schema)
app.command("help", cls=Verb)(help_of)
app.command("completion", cls=Verb)(complete.completion)
app.command("complete", hidden=True)(complete.complete)
app.add_typer(bench.app, name="bench")
app.add_typer(exporter.app, name="exporter")

_ALL = ("help", "complete")
"""Verbs that tell of all others."""


def asked(words: Sequence[str], table: typer.Typer = app) -> typer.Typer:
    """The table with the verb alone that a command line begins with, for Typer looks at all flags of each verb it gets.

    Where the line names no verb, or one that tells of all, it is the whole table.
    """
    verb, *rest = words or ("",)
    commands = [command for command in table.registered_commands if command.name == verb]
    groups = [copy(group) for group in table.registered_groups if group.name == verb]
    if verb in _ALL or not (commands or groups):
        return table
    for group in groups:
        assert group.typer_instance
        group.typer_instance = asked(rest, group.typer_instance)
    part = copy(table)
    part.registered_commands, part.registered_groups = commands, groups
    return part
