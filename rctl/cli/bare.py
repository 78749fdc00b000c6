"""``rctl run``, ``attach`` and ``rm``: bare VEs, a cgroup and limits around ordinary processes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .flags import DeadlineText, Json, Name, Names, asked, command_line, seconds, takes_limits
from .verb import Verb

Thaw = Annotated[bool, typer.Option("--thaw", help="Let a frozen VE go on first")]
_THAWED: dict[str, str | int] = {"cgroup.freeze": "0"}


class Run(Verb):
    """``run``, of which the command begins at ``--``: what stands there is never taken for the VE's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does. Raises UsageError when no word before ``--`` is the name, or one is a limit."""
        from ..errors import UsageError

        before = args[: args.index("--")] if "--" in args else list(args)
        given = self.make_parser(ctx).parse_args(list(before))[0]
        name = given.get("name")
        if not isinstance(name, str) and not {"--help", "-h"}.intersection(before):
            raise UsageError("run: the VE's name is missing. Write: rctl run NAME -- CMD")
        between = given.get("command") if "--" in args else None
        if limit := next((word for word in between or () if "=" in word), ""):
            raise UsageError(f"run: {limit}: a limit needs an option before it. Write: --limit {limit}")
        return super().parse_args(ctx, args)


@takes_limits
def run(
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run, after --")],
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", "-l", metavar="KEY=VALUE", help="Any limit: memory.high=1G. Repeatable"),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", "-d", help="Print the process id and return. Output that goes to no file is lost"),
    ] = False,
    remove: Annotated[bool, typer.Option("--rm", help="Remove the VE when the command has ended")] = False,
    lean: Annotated[
        bool, typer.Option("--lean", help="Turn pressure accounting off in the VE, so that context switches cost less")
    ] = False,
    thaw: Thaw = False,
    deadline: DeadlineText = "10s",
    json: Json = False,
    flags: Any = None,
) -> None:
    """Run a command in a VE, which is made if it is missing.

    When the command cannot start, a VE that was made for it is removed again. rctl becomes the command, so that no
    process stays in between. The VE stays until rctl rm, unless --rm is given. The exit status is the command's, or
    128 + N when signal N killed it. --json goes with --detach.

    Example: rctl run web1 --memory 512M --cpus 1 -- nginx
    """
    from ..adjust import entering
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..errors import UsageError
    from ..limits import decode
    from ..ve import bare
    from ..ve.command import Command, find
    from ..ve.lean import of as without_pressure
    from .output import as_json, done, warn

    if json and not detach:
        raise UsageError("run: --json is for --detach; else the output is the command's. Leave it out")
    host, status = this_host(), 0
    data = asked(limit or [], flags)
    if thaw:
        data["files"] = data.get("files", {}) | _THAWED
    limits = decode(data, host)
    options = Options(seconds(deadline), command=command_line())
    with Tree.open() as tree:
        bare.managed_path(tree, name)
        if remove and bare.exists(tree, name):
            raise UsageError(
                f"{name}: exists already, and --rm would remove it. Leave --rm out, or choose another name"
            )
        program = find(command)
        entering.check(tree, "self", tree.path(name))
        if lean:
            limits, note = without_pressure(limits, tree.root)
            if note:
                warn(note)
        job = Command(program, command, beside=detach or remove, detach=detach, tell=warn)
        bare.apply(tree, {name: limits}, host, options, start=job.start)
        if remove and not detach:
            status = job.wait()
            if died := bare.end(tree, name, job.ino):
                warn(died)
    if detach:
        done(as_json({"pid": job.pid, "ve": name}) if json else str(job.pid))
    elif status:
        raise typer.Exit(status)


def attach(
    name: Name,
    pids: Annotated[list[int], typer.Argument(metavar="PID...", min=1, max=4194304, help="Process ids")],
    thaw: Thaw = False,
    json: Json = False,
) -> None:
    """Move running processes into a VE, all of them or none.

    The VE is made if it is missing. Memory that the processes hold already stays charged to their old cgroup.
    """
    from ..adjust import entering
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..limits import Limits
    from ..ve import bare
    from .output import as_json, done, warn

    limits = Limits(files=_THAWED if thaw else {})
    with Tree.open() as tree:
        for pid in pids:
            entering.check(tree, pid, tree.path(name))
        account = bare.attach(tree, name, pids, this_host(), Options(command=command_line()), limits)
    for note in account.notes:
        warn(note)
    done(as_json({"ve": name, "pids": pids}) if json else f"{name}: attached {' '.join(map(str, pids))}")


def rm(
    names: Names,
    kill: Annotated[bool, typer.Option("--kill", help="End its processes first (SIGKILL)")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, change nothing")] = False,
    json: Json = False,
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="TIME", help="Longest to wait for processes to end: 10s, 2min")
    ] = "10s",
) -> None:
    """Remove VEs.

    When one of them has processes, all are left alone, unless --kill.

    A VE that is missing, or that got processes meanwhile, is named, and the exit status is 1; the others are removed.
    """
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..ve import bare
    from .output import as_json, done, warn

    with Tree.open() as tree:
        matched = tree.match(names, warn)
        there = [name for name in matched if bare.managed_path(tree, name) and bare.exists(tree, name)]
        options = Options(seconds(deadline), dry_run=dry_run, command=command_line())
        account = bare.remove_all(tree, there, this_host(), options, kill)
        found = {one.name: bare.would_go(tree, one.name) if dry_run else _removed(one) for one in account.outcomes}
    told = dict.fromkeys(matched, "not there") | found
    for note in account.notes:
        warn(note)
    done(*([as_json(told)] if json else [f"{name}: {what}" for name, what in told.items()]))
    if {"left alone", "not there"}.intersection(told.values()):
        raise typer.Exit(1)


def _removed(outcome: Any) -> str:
    killed = sum(step.inside for step in outcome.steps) if outcome.status == "removed" else 0
    return f"removed, {killed} process(es) killed" if killed else str(outcome.status)
