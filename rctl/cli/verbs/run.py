"""``rctl run``: a command in a VE, which is made if it is missing."""

from __future__ import annotations

from typing import Annotated, Any

from ...console.declare import Argument, Exit, Option, shaped
from ...console.flags import DeadlineText, Json, Name, Thaw, asked, seconds, takes_limits


@shaped("rctl.cli.own_usage:RunVerb", parses=True)
@takes_limits
def run(
    name: Name,
    command: Annotated[list[str], Argument(metavar="-- CMD...", help="The command to run, after --")],
    limit: Annotated[
        list[str] | None,
        Option("--limit", "-l", metavar="KEY=VALUE", help="Any limit: memory.high=1G. Repeatable"),
    ] = None,
    detach: Annotated[
        bool,
        Option("--detach", "-d", help="Print the process id and return. Output not redirected to a file is lost"),
    ] = False,
    remove: Annotated[bool, Option("--rm", help="Remove the VE after the command has ended")] = False,
    lean: Annotated[
        bool, Option("--lean", help="Turn pressure accounting off in the VE, so that context switches cost less")
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
        raise Exit(ran.status)
