"""``rctl get``, ``reset``, ``copy``, ``export`` and ``rename``: limits as they are, and given on."""

from __future__ import annotations

from typing import Annotated

import typer

from .flags import DeadlineText, DryRun, Force, Json, Name, command_line, seconds

Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help="Limits by key: memory.max cpu.max")]


def get(name: Name, keys: Keys, json: Json = False) -> None:
    """Print limits of a VE in the form that rctl set takes: one as the bare value, several as KEY=VALUE.

    Sizes are bytes, times microseconds, cpu.max is CPUs. io.max is a line for each device; none is no line.
    files.NAME is the text of any interface file.

    Example: rctl set web2 memory.max=$(rctl get web1 memory.max)
    """
    from ..cgroupfs.tree import Tree
    from ..ve import alike
    from .output import as_json, say

    with Tree.open() as tree:
        found = alike.get(tree, name, keys)
    if json:
        say(as_json({key: values if key == "io.max" else _plain(values[0]) for key, values in found.items()}))
        return
    start = "" if len(found) == 1 else "{}="
    for key, values in found.items():
        for value in values:
            say(*(start.format(key) + line for line in value.split("\n")))


def _plain(value: str) -> int | float | str:
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        return value


def reset(
    name: Name,
    keys: Keys,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Set limits of a VE back to what a new VE has, all or nothing. The VE may be a pattern.

    vcpus stands for cpuset.cpus and cpu.max; io.max for the rates of all devices.

    Example: rctl reset web1 memory.max cpu.max
    """
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..ve import alike
    from .output import progress, report

    options = Options(seconds(deadline), force=force, dry_run=dry_run, command=command_line())
    with Tree.open() as tree:
        account = alike.reset(tree, tree.match([name]), keys, this_host(), options, progress)
    report(account, json=json)


def copy(
    name: Name,
    names: Annotated[list[str], typer.Argument(metavar="VE...", help="VEs that get its limits; may be patterns")],
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Give VEs the limits of another one, all or nothing; what it does not limit, they do not limit then either.

    Example: rctl copy web1 web2 'test*' --dry-run
    """
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..ve import alike
    from .output import progress, report

    options = Options(seconds(deadline), force=force, dry_run=dry_run, command=command_line())
    with Tree.open() as tree:
        account = alike.copy(tree, name, tree.match(names), this_host(), options, progress)
    report(account, json=json)


def export(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[VE...]", help="VEs or patterns; unset: all of rctl's own")
    ] = None,
    json: Json = False,
) -> None:
    """Print VEs with their limits and labels as a spec (TOML), which rctl apply takes and which then changes nothing.

    Example: rctl export >site.toml; rctl apply site.toml
    """
    import tomllib

    from ..cgroupfs.tree import Tree
    from ..ve import alike
    from .output import as_json, say, warn

    with Tree.open() as tree:
        text, notes = alike.spec(tree, tree.match(names) if names else tree.names())
    for note in notes:
        warn(note)
    say(as_json(tomllib.loads(text))) if json else say(*text.split("\n"))


def rename(
    name: Name,
    new: Annotated[str, typer.Argument(help="Its new name")],
    json: Json = False,
) -> None:
    """Give an empty VE another name. One with processes keeps its name, for the kernel renames no cgroup.

    Example: rctl rename web1 web2
    """
    from ..adjust.engine import Options
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..ve import alike
    from .output import as_json, done, say, warn

    with Tree.open() as tree:
        account = alike.rename(tree, name, new, this_host(), Options(command=command_line()))
    for note in account.notes:
        warn(note)
    say(as_json({"ve": new, "before": name})) if json else done(f"{name}: is {new} now")
