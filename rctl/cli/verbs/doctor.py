"""``rctl doctor``: checks this host, and prints the remedies."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...console.declare import Exit
from ...console.flags import Json

if TYPE_CHECKING:
    from ...doctor import Check


def doctor(json: Json = False) -> None:
    """Check this host: what works, what is missing, how to fix it.

    The exit status is 1 if something must be fixed. To check that a process may enter a VE, doctor makes an empty
    cgroup, starts a process in it and removes the cgroup again. It changes nothing else.
    """
    from ...console import terminal
    from ...console.output import as_json, say
    from ...console.session import session
    from ...doctor import usable

    with session() as s:
        checks = s.doctor()
    if json:
        say(as_json(checks))
    else:
        room = terminal.width(sys.stdout)
        for line in lines(checks):
            say(*terminal.wrapped(line, _indent(checks), room))
        say("", _in_short([check.name for check in checks if check.state == "fail"]))
    if not usable(checks):
        raise Exit(1)


def _in_short(failed: Sequence[str]) -> str:
    if failed == ["run"]:
        return "Limits can be set here. For run and attach, fix the problem above."
    if failed == ["systemd"]:
        return "Limits of systemd's units can be set here. For VEs of rctl's own, fix the problem above."
    return f"Limits cannot be set here. Fix {len(failed)} problem(s) above." if failed else "Limits can be set here."


def _indent(checks: Sequence[Check]) -> int:
    """The column at which the texts begin."""
    return 8 + max(len(check.name) for check in checks)


def lines(checks: Sequence[Check]) -> Iterator[str]:
    """The checks for people; a remedy that several share is printed once."""
    width = _indent(checks) - 8
    told: set[str] = set()
    for check in checks:
        again = check.remedy in told
        yield f"{check.state:4}  {check.name:{width}}  {check.found}{' (same remedy as above)' if again else ''}"
        if check.remedy and not again:
            yield f"{'':{width + 8}}-> {check.remedy}"
            told.add(check.remedy)
