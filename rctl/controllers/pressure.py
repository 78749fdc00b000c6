"""Pressure (PSI): https://docs.kernel.org/accounting/psi.html

4.20 brought the files, 6.1 ``irq.pressure`` and ``cgroup.pressure`` (0 turns the accounting, and its cost, off).
"""

from __future__ import annotations

from ..formats import File, Pressure, pressure

SWITCH = File(
    "cgroup.pressure", "", default="1", since="6.1", unit="flag",
    about="0: no pressure accounting for the VE, which then costs nothing.",
)  # fmt: skip
FILES = (SWITCH,)
KINDS = ("cpu", "memory", "io", "irq")


READ = tuple(f"{kind}.pressure" for kind in KINDS)
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> dict[str, dict[str, Pressure]]:
    """The lines of each resource's file, by resource; a resource without a file (PSI off) is not there."""
    return {kind: pressure(text) for kind in KINDS if (text := texts.get(f"{kind}.pressure"))}
