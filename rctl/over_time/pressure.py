"""The pressure at which a ramp stops: ``20%`` of the resource that the limits touch, or ``memory=20%,io=10%``.

rctl reads ``some avg10`` of the VE between the steps, which everybody may who may read the cgroup. The kernel renews it
every two seconds. Its triggers would tell earlier, but need CAP_SYS_RESOURCE for windows that are no multiples of two
seconds, and measure something else than the figure that ``show`` and ``ls`` print.
https://docs.kernel.org/accounting/psi.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotAvailableError, NotFoundError, RctlError, UsageError
from ..formats import pressure

RESOURCES = ("cpu", "memory", "io")
_WORD = re.compile(r"(?:(cpu|memory|io)=)?([0-9]{1,3}(?:\.[0-9]{1,2})?)%?", re.ASCII)


class PressureError(RctlError):
    """The pressure of a VE passed the bound of its ramp."""


def parse(text: str, controllers: Iterable[str]) -> dict[str, float]:
    """The bound for each resource, in per cent. ``controllers``: those of the limits that the ramp moves.

    Raises UsageError if it is not understood, or if it names no resource and no limit has a pressure of its own.
    """
    found: dict[str, float] = {}
    for word in text.split(","):
        match = _WORD.fullmatch(word.strip())
        if not match or not 0 < float(match[2]) <= 100:
            raise UsageError(
                f"--stop-at-pressure: {text!r} is not understood. Write a share of time: 20%, or memory=20%,io=10%"
            )
        touched = [match[1]] if match[1] else [one for one in RESOURCES if one in set(controllers)]
        if not touched:
            raise UsageError(
                f"--stop-at-pressure: these limits have no pressure of their own. Name one: memory={match[2]}%"
            )
        found |= dict.fromkeys(touched, float(match[2]))
    return found


def check(tree: Tree, names: Iterable[str], bounds: Mapping[str, float], *, first: bool = False) -> None:
    """Raise PressureError for the first VE whose pressure is above a bound. ``first``: before the first step.

    Raises NotAvailableError if a VE has no figures. A VE that was removed has none to pass.
    """
    for name in names if bounds else ():
        with suppress(GoneError, NotFoundError), tree.open_ve(name) as ve:
            for resource, bound in bounds.items():
                text = ve.read_if_there(f"{resource}.pressure")
                if not text:
                    raise NotAvailableError(
                        f"{name}: has no {resource}.pressure, so --stop-at-pressure cannot watch it. See rctl doctor"
                    )
                if (now := pressure(text)["some"].avg10) > bound:
                    when = "is already" if first else "rose to"
                    raise PressureError(f"{name}: its {resource} pressure {when} {now:g} %, above {bound:g} %")
