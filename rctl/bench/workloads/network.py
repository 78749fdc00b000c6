"""TCP on loopback; both ends are on the same side of the comparison."""

from __future__ import annotations

from .base import Builtin, Workload

_NETWORK = "network"

ALL: tuple[Workload, ...] = (
    Builtin("TCP throughput", _NETWORK, "64 KiB there and 64 bytes back over loopback", 300, verb="stream"),
    Builtin("TCP request and response", _NETWORK, "64 bytes there and back over loopback", 300, verb="request"),
)
