"""Loopback TCP, both ends on the same side of the comparison."""

from __future__ import annotations

from .base import Builtin, Workload

_NETWORK = "network"
_SWITCHES = "pays at each switch between the two ends, and for the memory controller's charging"

ALL: tuple[Workload, ...] = (
    Builtin(
        "TCP throughput", _NETWORK, "64 KiB there and 64 bytes back over loopback", 300, verb="stream", pays=_SWITCHES
    ),
    Builtin(
        "TCP request and response",
        _NETWORK,
        "64 bytes there and back over loopback",
        300,
        verb="request",
        pays=_SWITCHES,
    ),
)
