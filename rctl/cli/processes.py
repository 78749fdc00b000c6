"""``rctl ps``, ``freeze``, ``thaw`` and ``kill``: the processes of VEs."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from ..console.flags import Json, Names, seconds
from ..console.verb import Changes, changes, shaped

_SIGNAL = re.compile(r"-([0-9]+|[A-Z][A-Z0-9]+)")
Wait = Annotated[
    str,
    typer.Option("--deadline", metavar="TIME", help="Longest to wait for the processes to stop or continue: 10s, 2min"),
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

    CPU is the CPU time that a process has used so far. MEMORY is its resident memory.

    Example: rctl ps 'web*'
    """
    from ..console.output import as_json, columns, say, warn
    from ..console.session import session
    from ..units import clock, human_size

    with session() as s:
        found = s.ps(*names or ())
    if json:
        say(as_json(found))
        return
    if not found:
        warn("no processes in these VEs")
        return
    rows = [(p.ve, str(p.pid), p.user, clock(p.cpu), human_size(p.memory), p.command) for p in found]
    columns(HEAD, rows, right=frozenset({1, 3, 4}), paths=(0,))


@changes
def freeze(names: Names, json: Json = False, deadline: Wait = "10s") -> None:
    """Stop all processes of VEs until rctl thaw, all VEs or none.

    Waits until every process has stopped.

    Example: rctl freeze web1
    """
    from ..console.output import report
    from ..console.session import session

    with session() as s:
        report(s.freeze(*names, deadline=seconds(deadline)), json=json)


@changes
def thaw(names: Names, json: Json = False, deadline: Wait = "10s") -> None:
    """Let the processes of frozen VEs continue, all VEs or none.

    Example: rctl thaw web1
    """
    from ..console.output import report
    from ..console.session import session

    with session() as s:
        report(s.thaw(*names, deadline=seconds(deadline)), json=json)


class KillVerb(Changes):
    """``kill``; it also takes a signal as kill(1) does: ``-9``, ``-HUP``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does, after the signal is taken out."""
        words = list(args)
        for at, word in enumerate(args):
            if (match := _SIGNAL.fullmatch(word)) and (not at or args[at - 1] not in ("-s", "--signal")):
                words[at] = f"--signal={match[1]}"
        return super().parse_args(ctx, words)


@shaped(KillVerb)
def kill(
    names: Names,
    signal: Annotated[
        str, typer.Option("--signal", "-s", metavar="SIGNAL", help="By name or number: TERM, HUP, KILL, 9")
    ] = "TERM",
    json: Json = False,
) -> None:
    """Send a signal to all processes of VEs.

    The default signal is TERM. The VEs stay. -9 and -HUP mean the same as --signal 9 and --signal HUP.

    Example: rctl kill web1 --signal HUP
    """
    from ..console.output import as_json, done
    from ..console.session import session
    from ..ve.processes import signal_name, signal_number

    number = signal_number(signal)
    with session() as s:
        told = s.kill(*names, signal=number)
    sent = signal_name(number)
    if json:
        done(as_json({"signal": sent, "processes": told}))
        return
    for name, count in told.items():
        done(f"{name}: {sent} sent to {count} process(es)")
