"""All verbs in one table. Each verb's file imports what it needs when it runs, so that starting costs little."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

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


def _be_quiet(context: Any, parameter: Any, wanted: bool) -> None:
    if wanted:
        from .output import be_quiet

        be_quiet()


class _Changes(TyperCommand):
    """A verb that changes something, and so may be told to say nothing about it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        text = "Say nothing when all went well"
        self.params.append(
            TyperOption(
                param_decls=["--quiet", "-q"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_be_quiet,
                help=text,
            )
        )


class _Kill(processes.Kill, _Changes):
    """``kill`` changes something, too."""


app = typer.Typer(
    name="rctl",
    help="Set any limit on any VE, live and safely.",
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
    verb: Annotated[list[str] | None, typer.Argument(help="A verb, and one of its own: bench adjust")] = None,
) -> None:
    """Show what a verb does and takes, as rctl VERB --help does.

    Example: rctl help set
    """
    from ..errors import UsageError
    from .output import Shown, say

    above = context.find_root()
    command: Any = above.command
    for word in verb or ():
        found = getattr(command, "commands", {}).get(word)
        if found is None:
            raise UsageError(f"help: {word[:64]!r}: there is no such verb. See rctl --help")
        above = command.context_class(found, info_name=word, parent=above, **found.context_settings)
        command = found
    say(Shown(command.get_help(above)))


app.command("doctor")(doctor.doctor)
app.command("ls")(ls.ls)
app.command("show")(show.show)
app.command("get")(alike.get)
app.command("set", cls=_Changes)(set.set_limits)
app.command("reset", cls=_Changes)(alike.reset)
app.command("copy", cls=_Changes)(alike.copy)
app.command("apply", cls=_Changes)(spec.apply)
app.command("diff")(spec.diff)
app.command("export")(alike.export)
app.command("undo", cls=_Changes)(past.undo)
app.command("history")(past.history)
app.command("recover")(past.recover)
app.command("run", cls=bare.Run, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": True})(
    bare.run
)
app.command("attach", cls=_Changes)(bare.attach)
app.command("ps")(processes.ps)
app.command("freeze", cls=_Changes)(processes.freeze)
app.command("thaw", cls=_Changes)(processes.thaw)
app.command("kill", cls=_Kill)(processes.kill)
app.command("reclaim", cls=_Changes)(reclaim.reclaim)
app.command("label", cls=_Changes)(label.label)
app.command("rename", cls=_Changes)(alike.rename)
app.command("rm", cls=_Changes)(bare.rm)
app.command("schema")(schema.schema)
app.command("help")(help_of)
app.command("completion")(complete.completion)
app.command("complete", hidden=True)(complete.complete)
app.add_typer(bench.app, name="bench")
app.add_typer(exporter.app, name="exporter")
