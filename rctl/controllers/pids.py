"""Processes and threads: https://docs.kernel.org/admin-guide/cgroup-v2.html#pid

pids.max and pids.current came with Linux 4.5, pids.peak with 6.1.
"""

import msgspec
from msgspec import UNSET, UnsetType

from ..formats import File, LimitMetric, Write, flat_keyed
from ..host import Host
from ..units import Amount, PidCount, amount

MAX = File(
    "pids.max", "pids", unit="count",
    systemd=("TasksMax=",), docker=("PidsLimit",),
    about="Most processes and threads. Above it, fork(2) fails.",
    metrics=(LimitMetric("pids_max", "Most processes and threads.", core=True),),
)  # fmt: skip
FILES = (MAX,)


class Pids(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``max``: most processes and threads at once; above it, forks fail with EAGAIN."""

    max: PidCount | UnsetType = UNSET


class PidsStat(msgspec.Struct, frozen=True):
    """``current`` counts threads, too. ``refused``: forks that failed at the limit."""

    current: int
    max: Amount
    refused: int = 0


def writes(limits: Pids, host: Host) -> tuple[Write, ...]:
    """The entry to write for this limit."""
    return () if limits.max is UNSET else (Write(MAX, str(limits.max)),)


READ = ("pids.current", MAX.name, "pids.events")
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> PidsStat | None:
    """The statistics, from file texts by name; ``None`` if the controller is not enabled."""
    if "pids.current" not in texts:
        return None
    refused = flat_keyed(texts.get("pids.events", "")).get("max", 0)
    return PidsStat(int(texts["pids.current"]), amount(texts.get("pids.max", "max")), refused)
