"""``rctl kill``: send a signal to all processes of VEs."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Option, changes, shaped
from ...console.flags import Json, Names


@changes
@shaped("rctl.cli.own_usage:KillVerb")
def kill(
    names: Names,
    signal: Annotated[
        str, Option("--signal", "-s", metavar="SIGNAL", help="By name or number: TERM, HUP, KILL, 9")
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
