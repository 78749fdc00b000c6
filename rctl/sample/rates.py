"""The rates of one VE between two samples. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .reading import Sample

MICRO = 10**6
_IO = ("rbytes", "wbytes", "rios", "wios")


class DeviceRates(msgspec.Struct, frozen=True):
    """Bytes and operations per second, read and written; named as in ``io.max``."""

    rbps: float
    wbps: float
    riops: float
    wiops: float


class Rates(msgspec.Struct, frozen=True):
    """Means over ``seconds``.

    ``cpus``: CPUs used. ``throttled``: seconds of waiting for ``cpu.max`` per second, summed over the VE's CPUs;
    ``None`` if the kernel does not count it. ``io``: by ``MAJOR:MINOR``, only devices in use.
    ``pressure``: per cent of the time in which some, or all (full), tasks waited, by resource.
    """

    seconds: float
    cpus: float | None
    throttled: float | None
    io: dict[str, DeviceRates]
    pressure: dict[str, dict[str, float]]


def rates(before: Sample, after: Sample) -> Rates:
    """The rates between two samples; a change of the host's time of day does not matter.

    Raises ValueError if the second sample is not later.
    """
    seconds = after.clock - before.clock
    if seconds <= 0:
        raise ValueError("rates: the second sample is not later than the first. Swap them")
    old, new = (sample.cpu.stat if sample.cpu else {} for sample in (before, after))
    return Rates(
        seconds,
        _growth(old, new, "usage_usec", seconds * MICRO),
        _growth(old, new, "throttled_usec", seconds * MICRO),
        _io_rates(before, after, seconds),
        {kind: _shares(before, after, kind, seconds) for kind in after.pressure if kind in before.pressure},
    )


def _growth(old: Mapping[str, int], new: Mapping[str, int], key: str, span: float) -> float | None:
    """Growth of a counter per ``span``; a counter that restarted (a device was plugged in again) has not grown."""
    if key not in old or key not in new:
        return None
    return max(0, new[key] - old[key]) / span


def _io_rates(before: Sample, after: Sample, seconds: float) -> dict[str, DeviceRates]:
    if before.io is None or after.io is None:
        return {}
    zero = dict.fromkeys(_IO, 0)
    return {
        device: DeviceRates(*(_growth(zero | before.io.stat.get(device, {}), new, key, seconds) or 0.0 for key in _IO))
        for device, new in after.io.stat.items()
        if new
    }


def _shares(before: Sample, after: Sample, kind: str, seconds: float) -> dict[str, float]:
    old, new = before.pressure[kind], after.pressure[kind]
    return {
        line: min(100.0, max(0, new[line].total - old[line].total) / (seconds * MICRO) * 100)
        for line in new
        if line in old
    }
