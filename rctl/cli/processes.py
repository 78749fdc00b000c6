"""``rctl ps``, ``freeze``, ``thaw`` and ``kill``: what runs in VEs."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .flags import DeadlineText, Json, Names, command_line, seconds

_SIGNAL = re.compile(r"-([0-9]+|[A-Z][A-Z0-9]+)")
HEAD = ("VE", "PID", "USER", "CPU", "MEMORY", "COMMAND")


def ps(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VE...]", help="VEs or patterns; unset: all of rctl's own"),
    ] = None,
    json: Json = False,
) -> None:
    """List the processes of VEs: CPU time so far, resident memory, command.

    Example: rctl ps 'web*'
    """
    from ..cgroupfs.tree import Tree
    from ..units import human_size
    from ..ve.processes import listing
    from .output import as_json, columns, say

    with Tree.open() as tree:
        found = listing(tree, tree.match(names) if names else tree.names())
    if json:
        say(as_json(found))
        return
    rows = [(p.ve, str(p.pid), p.user, _clock(p.cpu), human_size(p.memory), p.command) for p in found]
    columns(HEAD, rows, right=frozenset({1, 3, 4}))


def _clock(seconds: float) -> str:
    """CPU time as ps(1) shows it."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def freeze(names: Names, json: Json = False, deadline: DeadlineText = "10s") -> None:
    """Stop all processes of VEs where they are, until rctl thaw; all VEs or none. Waits until they stand still.

    Example: rctl freeze web1
    """
    _set_frozen(names, "1", json, deadline)


def thaw(names: Names, json: Json = False, deadline: DeadlineText = "10s") -> None:
    """Let the processes of frozen VEs go on; all VEs or none.

    Example: rctl thaw web1
    """
    _set_frozen(names, "0", json, deadline)


def _set_frozen(names: list[str], value: str, json: bool, deadline: str) -> None:
    from ..adjust.engine import Options, adjust
    from ..cgroupfs.files import this_host
    from ..cgroupfs.tree import Tree
    from ..limits import decode
    from .output import progress, report

    host = this_host()
    limits = decode({"files": {"cgroup.freeze": value}}, host)
    options = Options(seconds(deadline), command=command_line())
    with Tree.open() as tree:
        account = adjust(tree, dict.fromkeys(tree.match(names), limits), host, options, progress)
    report(account, json=json)


class Kill(TyperCommand):
    """``kill``, which takes a signal as kill(1) does, too: ``-9``, ``-HUP``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does."""
        words = [f"--signal={match[1]}" if (match := _SIGNAL.fullmatch(word)) else word for word in args]
        return super().parse_args(ctx, words)


def kill(
    names: Names,
    signal: Annotated[str, typer.Option("--signal", "-s", help="By name or number: TERM, HUP, KILL, 9")] = "TERM",
    json: Json = False,
) -> None:
    """Send a signal to all processes of VEs: TERM, unless another is named. The VEs stay.

    -9 and -HUP mean the same as --signal 9 and --signal HUP.

    Example: rctl kill web1 --signal HUP
    """
    from ..cgroupfs.tree import Tree
    from ..ve.processes import send, signal_number
    from .output import as_json, done, say

    number = signal_number(signal)
    with Tree.open() as tree:
        told = send(tree, tree.match(names), number)
    if json:
        say(as_json({"signal": number.name, "processes": told}))
        return
    for name, count in told.items():
        done(f"{name}: {number.name} sent to {count} process(es)")
