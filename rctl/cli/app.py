"""All verbs in one table. Each verb's file imports what it needs when it runs, so that starting costs little."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import bare, bench, complete, doctor, exporter, ls, past, schema, set, show, spec  # noqa: A004


class _Verbs(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """As Typer does, but hand an interruption back: Typer itself would end with 130 and a word to nobody."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            return stop


app = typer.Typer(
    name="rctl",
    cls=_Verbs,
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass


app.command("doctor")(doctor.doctor)
app.command("ls")(ls.ls)
app.command("show")(show.show)
app.command("set")(set.set_limits)
app.command("apply")(spec.apply)
app.command("diff")(spec.diff)
app.command("undo")(past.undo)
app.command("history")(past.history)
app.command("recover")(past.recover)
app.command("run", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": True})(bare.run)
app.command("attach")(bare.attach)
app.command("rm")(bare.rm)
app.command("schema")(schema.schema)
app.command("completion")(complete.completion)
app.command("complete", hidden=True)(complete.complete)
app.add_typer(bench.app, name="bench")
app.add_typer(exporter.app, name="exporter")
