"""Pressure (PSI): https://docs.kernel.org/accounting/psi.html

The files came with Linux 4.20, ``irq.pressure`` and ``cgroup.pressure`` with 6.1. 0 in ``cgroup.pressure`` turns the
accounting, and its cost, off.
"""

from ..formats import File, Pressure, pressure

SWITCH = File(
    "cgroup.pressure", "", default="1", since="6.1", unit="flag",
    about="0: no pressure accounting for the VE, so it costs nothing.",
)  # fmt: skip
FILES = (SWITCH,)
KINDS = ("cpu", "memory", "io", "irq")


READ = tuple(f"{kind}.pressure" for kind in KINDS)
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> dict[str, dict[str, Pressure]]:
    """The lines of each resource's file, by resource; a resource without a file (PSI is off) is missing."""
    return {kind: pressure(text) for kind in KINDS if (text := texts.get(f"{kind}.pressure"))}
