"""``rctl run``, ``attach`` and ``rm``: bare VEs, a cgroup and limits around ordinary processes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .flags import DeadlineText, Json, Name, Names, asked, command_line, seconds, takes_limits


@takes_limits
def run(
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run, after --")],
    limit: Annotated[
        list[str] | None, typer.Option("--limit", "-l", help="Any limit: memory.high=1G. May be given again")
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Return at once; print the process id. Output is kept only if it goes to a file"
        ),
    ] = False,
    remove: Annotated[bool, typer.Option("--rm", help="Remove the VE when the command has ended")] = False,
    lean: Annotated[
        bool, typer.Option("--lean", help="No pressure accounting in the VE, so context switches cost less")
    ] = False,
    deadline: DeadlineText = "10s",
    json: Json = False,
    flags: Any = None,
) -> None:
    """Run a command in a VE, made for it when it is not there, and gone again when the command cannot start.

    rctl becomes the command, so nothing stays in between; the VE stays until rctl rm, unless --rm. Ends as the command
    does, with 128 + N when signal N killed it. --json goes with --detach.
    """
    from ..adjust import entering
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..errors import UsageError
    from ..limits import decode
    from ..ve import bare
    from ..ve import command as commands
    from ..ve.lean import of as without_pressure
    from .output import as_json, done, warn

    if json and not detach:
        raise UsageError("run: --json is for --detach; else the output is the command's. Leave it out")
    host = this_host()
    limits = decode(asked(limit or [], flags), host)
    options = Options(seconds(deadline), command=command_line())
    with Tree.open() as tree:
        bare.managed_path(tree, name)
        if remove and bare.exists(tree, name):
            raise UsageError(
                f"{name}: exists already, and --rm would remove it. Leave --rm out, or choose another name"
            )
        program = commands.find(command)
        entering.check(tree, "self", tree.path(name))
        with bare.made_for(tree, [name]):
            if lean:
                with tree.open_ve(name) as ve:
                    limits, note = without_pressure(limits, ve)
                if note:
                    warn(note)
            bare.apply(tree, {name: limits}, host, options)
            with tree.open_ve(name) as ve:
                status = commands.run(ve, program, command, detach=detach, wait=remove)
                if remove and not detach and (died := bare.killed_for_memory(ve, name)):
                    warn(died)
        if remove and not detach:
            bare.remove(tree, name, kill=True)
    if detach:
        done(as_json({"pid": status, "ve": name}) if json else str(status))
    elif status:
        raise typer.Exit(status)


def attach(
    name: Name,
    pids: Annotated[list[int], typer.Argument(metavar="PID...", min=1, max=4194304, help="Process ids")],
    json: Json = False,
) -> None:
    """Move running processes into a VE, made for them when it is not there. All of them, or none.

    Memory that they hold already stays charged to where it was.
    """
    from ..adjust import entering
    from ..cgroupfs.tree import Tree
    from ..ve import bare
    from .output import as_json, done

    with Tree.open() as tree:
        for pid in pids:
            entering.check(tree, pid, tree.path(name))
        with bare.made_for(tree, [name] if not name.startswith("/") else []), tree.open_ve(name) as ve:
            bare.attach(ve, pids)
    done(as_json({"ve": name, "pids": pids}) if json else f"{name}: attached {' '.join(map(str, pids))}")


def rm(
    names: Names,
    kill: Annotated[bool, typer.Option("--kill", help="End its processes first (SIGKILL)")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, change nothing")] = False,
    json: Json = False,
) -> None:
    """Remove VEs. When one of them has processes, all are left alone, unless --kill.

    Then one by one: one that is not there, or that is filled meanwhile, is told (status 1), the others are removed.
    """
    from ..cgroupfs.tree import Tree
    from ..errors import GoneError, NotFoundError, RctlError
    from ..ve import bare
    from .output import as_json, done, warn

    told: dict[str, str] = {}
    with Tree.open() as tree:
        matched = tree.match(names, warn)
        bare.check_removable(tree, matched, kill)
        for name in matched:
            try:
                if dry_run:
                    told[name] = bare.would_go(tree, name)
                    continue
                killed = bare.remove(tree, name, kill)
                told[name] = f"removed, {killed} process(es) killed" if killed else "removed"
            except (NotFoundError, GoneError):
                told[name] = "not there"
            except RctlError as error:
                told[name] = "left alone"
                warn(str(error))
    done(*([as_json(told)] if json else [f"{name}: {what}" for name, what in told.items()]))
    if {"left alone", "not there"}.intersection(told.values()):
        raise typer.Exit(1)
