"""``rctl ps``, ``freeze``, ``thaw`` and ``kill``: what runs in VEs."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from .flags import Json, Names, command_line, seconds
from .verb import Changes

_SIGNAL = re.compile(r"-([0-9]+|[A-Z][A-Z0-9]+)")
Wait = Annotated[
    str,
    typer.Option("--deadline", metavar="TIME", help="Longest to wait for the processes to stop or go on: 10s, 2min"),
]
HEAD = ("VE", "PID", "USER", "CPU", "MEMORY", "COMMAND")


def ps(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VE...]", help="Names or patterns; without any, all of rctl's own VEs"),
    ] = None,
    json: Json = False,
) -> None:
    """List the processes of VEs.

    CPU is the time that a process has used so far, MEMORY what is resident.

    Example: rctl ps 'web*'
    """
    from ..cgroupfs.tree import Tree
    from ..units import human_size
    from ..ve.processes import listing
    from .output import as_json, columns, say, warn

    with Tree.open() as tree:
        found = listing(tree, tree.match(names) if names else tree.names())
    if json:
        say(as_json(found))
        return
    if not found:
        warn("no processes in these VEs")
        return
    rows = [(p.ve, str(p.pid), p.user, _clock(p.cpu), human_size(p.memory), p.command) for p in found]
    columns(HEAD, rows, right=frozenset({1, 3, 4}))


def _clock(seconds: float) -> str:
    """CPU time as ps(1) shows it."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def freeze(names: Names, json: Json = False, deadline: Wait = "10s") -> None:
    """Stop all processes of VEs until rctl thaw, all VEs or none.

    Waits until every process has stopped.

    Example: rctl freeze web1
    """
    _set_frozen(names, "1", json, deadline)


def thaw(names: Names, json: Json = False, deadline: Wait = "10s") -> None:
    """Let the processes of frozen VEs go on, all VEs or none.

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


class Kill(Changes):
    """``kill``, which takes a signal as kill(1) does, too: ``-9``, ``-HUP``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does."""
        words = [f"--signal={match[1]}" if (match := _SIGNAL.fullmatch(word)) else word for word in args]
        return super().parse_args(ctx, words)


def kill(
    names: Names,
    signal: Annotated[
        str, typer.Option("--signal", "-s", metavar="SIGNAL", help="By name or number: TERM, HUP, KILL, 9")
    ] = "TERM",
    json: Json = False,
) -> None:
    """Send a signal to all processes of VEs.

    It is TERM, unless another is named. The VEs stay. -9 and -HUP mean the same as --signal 9 and --signal HUP.

    Example: rctl kill web1 --signal HUP
    """
    from ..cgroupfs.tree import Tree
    from ..ve.processes import send, signal_name, signal_number
    from .output import as_json, done, say

    number = signal_number(signal)
    with Tree.open() as tree:
        told = send(tree, tree.match(names), number)
    sent = signal_name(number)
    if json:
        say(as_json({"signal": sent, "processes": told}))
        return
    for name, count in told.items():
        done(f"{name}: {sent} sent to {count} process(es)")
