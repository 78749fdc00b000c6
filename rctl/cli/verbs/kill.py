"""``rctl kill``: send a signal to all processes of VEs."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from ...console.flags import Json, Names
from ...console.verb import Changes, shaped

_SIGNAL = re.compile(r"-([0-9]+|[A-Z][A-Z0-9]+)")


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
    from ...console.output import as_json, done
    from ...console.session import session
    from ...ve.processes import signal_name, signal_number

    number = signal_number(signal)
    with session() as s:
        told = s.kill(*names, signal=number)
    sent = signal_name(number)
    if json:
        done(as_json({"signal": sent, "processes": told}))
        return
    for name, count in told.items():
        done(f"{name}: {sent} sent to {count} process(es)")
