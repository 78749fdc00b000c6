"""``rctl get``, ``reset``, ``copy``, ``export`` and ``rename``: print limits, reset them, copy them, rename VEs."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console.flags import DeadlineText, DryRun, Force, Json, Name, NameOrPath, seconds
from ..console.verb import changes


def get(
    name: NameOrPath,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY...]", help="Limits by key; unset: all that differ from a new VE")
    ] = None,
    json: Json = False,
) -> None:
    """Print limits of a VE as rctl set takes them.

    One key prints the bare value, several keys print KEY=VALUE. Sizes are in bytes, times in microseconds, cpu.max in
    CPUs. io.max prints a line for each device that has limits. files.NAME prints any interface file.

    Example: rctl set web2 memory.max=$(rctl get web1 memory.max)
    """
    from ..console.output import as_json, say
    from ..console.session import session
    from ..limits import BY_DEVICE

    with session() as s:
        found = s.get(name, *keys or ())
    if json:
        say(as_json({key: values if key in BY_DEVICE else _plain(key, values[0]) for key, values in found.items()}))
        return
    start = "" if len(keys or ()) == 1 else "{}="
    for key, values in found.items():
        for value in values:
            say(*(start.format(key) + line for line in value.split("\n")))


def _plain(key: str, value: str) -> int | float | str:
    if key.startswith("cpuset."):
        return value  # a list of numbers, also with a single number
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        return value


@changes
def reset(
    selected: Annotated[
        list[str], typer.Argument(metavar="VE... KEY...", help="Names, /paths or patterns, then limits: memory.max")
    ],
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Set limits of VEs back to what a new VE has, all or nothing.

    vcpus resets cpuset.cpus and cpu.max. io.max resets the rates of all devices. If a VE has the name of a limit, write
    it first, or write its /path.

    Example: rctl reset web1 'test*' memory.max cpu.max
    """
    from ..console.output import report
    from ..console.session import session
    from ..errors import UsageError
    from ..limits import is_key

    keys = [word for word in selected[1:] if is_key(word)]
    names = [selected[0], *(word for word in selected[1:] if not is_key(word))]
    if len(selected) == 1:
        raise UsageError("KEY is missing. See rctl reset --help")
    if not keys:
        keys = [names.pop()]  # it is not a key; the error then says so
    with session() as s:
        report(s.reset(names, *keys, deadline=seconds(deadline), force=force, dry_run=dry_run), json=json)


@changes
def copy(
    name: NameOrPath,
    names: Annotated[
        list[str], typer.Argument(metavar="VE...", help="VEs that get its limits: names, paths or patterns")
    ],
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Give VEs the limits of another VE, all or nothing.

    If the first VE has no limit for a key, the others get no limit for it either. Files that rctl does not know are not
    copied.

    Example: rctl copy web1 web2 'test*' --dry-run
    """
    from ..console.output import report
    from ..console.session import session

    with session() as s:
        report(s.copy(name, *names, deadline=seconds(deadline), force=force, dry_run=dry_run), json=json)


def export(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VE...]", help="Names or patterns; without any, all of rctl's own VEs"),
    ] = None,
    json: Json = False,
) -> None:
    """Print VEs as a spec for rctl apply.

    The spec is TOML and has the limits and labels of the VEs. rctl apply of it changes nothing, as long as the VEs stay
    as they are. Files that rctl does not know are left out.

    Example: rctl export >site.toml; rctl apply site.toml
    """
    import tomllib

    from ..console.output import as_json, say, warn
    from ..console.session import session

    with session() as s:
        text, notes = s.export(*names or ())
    for note in notes:
        warn(note)
    say(as_json(tomllib.loads(text))) if json else say(*text.split("\n"))


@changes
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name")],
    json: Json = False,
) -> None:
    """Give an empty VE another name.

    A VE with processes keeps its name, because the kernel cannot rename a cgroup.

    Example: rctl rename web1 web2
    """
    from ..console.output import as_json, done, warn
    from ..console.session import session

    with session() as s:
        account = s.rename(name, new)
    for note in account.notes:
        warn(note)
    done(as_json({"ve": new, "before": name}) if json else f"{name}: is {new} now")
