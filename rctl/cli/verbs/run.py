"""``rctl run``: a command in a VE, which is made if it is missing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ...console.flags import DeadlineText, Json, Name, Thaw, asked, seconds, takes_limits
from ...console.verb import Verb, shaped


class RunVerb(Verb):
    """``run``. Its command begins at ``--``; words after that are never taken for the VE's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does. Raises UsageError if no word before ``--`` is the name, or if one is a limit."""
        from ...errors import UsageError

        before = args[: args.index("--")] if "--" in args else list(args)
        given = self.make_parser(ctx).parse_args(list(before))[0]
        name = given.get("name")
        if not isinstance(name, str) and not {"--help", "-h"}.intersection(before):
            raise UsageError("run: the VE's name is missing. Write: rctl run NAME -- CMD")
        between = given.get("command") if "--" in args else None
        if limit := next((word for word in between or () if "=" in word), ""):
            raise UsageError(f"run: {limit}: a limit needs an option before it. Write: --limit {limit}")
        return super().parse_args(ctx, args)


@shaped(RunVerb)
@takes_limits
def run(
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command to run, after --")],
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", "-l", metavar="KEY=VALUE", help="Any limit: memory.high=1G. Repeatable"),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", "-d", help="Print the process id and return. Output not redirected to a file is lost"),
    ] = False,
    remove: Annotated[bool, typer.Option("--rm", help="Remove the VE after the command has ended")] = False,
    lean: Annotated[
        bool, typer.Option("--lean", help="Turn pressure accounting off in the VE, so that context switches cost less")
    ] = False,
    thaw: Thaw = False,
    deadline: DeadlineText = "10s",
    json: Json = False,
    flags: Any = None,
) -> None:
    """Run a command in a VE; make the VE if it is missing.

    If the command cannot start, a VE that was made for it is removed again. rctl becomes the command, so no process
    stays in between. The VE stays until rctl rm, unless --rm is given. The exit status is that of the command, or
    128 + N if signal N killed it. --json needs --detach.

    Example: rctl run web1 --memory 512M --cpus 1 -- nginx
    """
    from ...console.output import as_json, done
    from ...console.session import session
    from ...errors import UsageError

    if json and not detach:
        raise UsageError("run: --json needs --detach, because the output is the command's. Leave --json out")
    limits, wait = asked(limit or [], flags), seconds(deadline)
    become = not (detach or remove)
    with session() as s:
        ran = s.run(
            name, command, limits,
            become=become, detach=detach, remove=remove, lean=lean, thaw=thaw, deadline=wait,
        )  # fmt: skip
    if detach:
        done(as_json({"pid": ran.pid, "ve": name}) if json else str(ran.pid))
    elif ran.status:
        raise typer.Exit(ran.status)
