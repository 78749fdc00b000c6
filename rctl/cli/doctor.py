"""``rctl doctor``: what this host can do for rctl, and how to mend what it lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from ..console.flags import Json

if TYPE_CHECKING:
    from ..doctor import Check


def doctor(json: Json = False) -> None:
    """Check this host: what works, what is missing, how to mend it.

    The exit status is 1 when something is to be mended. To try whether a process may enter a VE, doctor makes an
    empty cgroup, starts a process in it and removes it again. Nothing else is changed.
    """
    from ..console import terminal
    from ..console.output import as_json, say
    from ..console.session import session
    from ..doctor import usable

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
        raise typer.Exit(1)


def _in_short(failed: Sequence[str]) -> str:
    if failed == ["run"]:
        return "Limits can be set here; run and attach need what is to mend above."
    return f"{len(failed)} to mend before limits can be set here." if failed else "Limits can be set here."


def _indent(checks: Sequence[Check]) -> int:
    """Where the texts begin."""
    return 8 + max(len(check.name) for check in checks)


def lines(checks: Sequence[Check]) -> Iterator[str]:
    """The checks for people; a remedy that several share is told once."""
    width = _indent(checks) - 8
    told: set[str] = set()
    for check in checks:
        again = check.remedy in told
        yield f"{check.state:4}  {check.name:{width}}  {check.found}{' (mend as above)' if again else ''}"
        if check.remedy and not again:
            yield f"{'':{width + 8}}-> {check.remedy}"
            told.add(check.remedy)
