"""The facts of the machine that gave a figure; without them an absolute number means nothing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from typing import NamedTuple

from ...host import Reader
from ...units import human_size
from ...version import __version__
from ..figures.result import Figure, Result, Series
from .clock import SOURCE, clock

_CPU = "/sys/devices/system/cpu"
_EMULATED = ("QEMU Virtual CPU", "QEMU TCG CPU")


class Begin(NamedTuple):
    """The start of a benchmark. ``time``: since 1970. ``load``: the machine's load before the benchmark."""

    time: float
    load: str


def begin() -> Begin:
    """The time and the load now."""
    return Begin(time.time(), facts().get("load", ""))


def facts(read: Reader | None = None) -> dict[str, str]:
    """Facts by name, without those that this machine does not report. ``read``: a file's text by path, or OSError."""
    read = read or _text
    found = {
        "kernel": platform.release(),
        "CPU": _keyed(read, "/proc/cpuinfo", "model name"),
        "CPUs": str(os.cpu_count() or ""),
        "memory": _memory(read),
        "governor": _line(read, f"{_CPU}/cpu0/cpufreq/scaling_governor"),
        "SMT": _line(read, f"{_CPU}/smt/control"),
        "turbo": _turbo(read),
        "mitigations": "off" if "mitigations=off" in _line(read, "/proc/cmdline").split() else "",
        "load": " ".join(_line(read, "/proc/loadavg").split()[:3]),
        "virtualization": _virtualization(read),
        "emulated": "yes" if _keyed(read, "/proc/cpuinfo", "model name").startswith(_EMULATED) else "",
        "clock source": _line(read, SOURCE),
        "boot": _line(read, "/proc/sys/kernel/random/boot_id")[:8],
        "rctl": __version__,
        "Python": platform.python_version(),
    }
    return {name: text for name, text in found.items() if text}


def stamp(
    bench: str, command: str, began: Begin, figures: Sequence[Figure], series: Sequence[Series] = ()
) -> Result:  # fmt: skip
    """A result with this machine's facts, and the load before the benchmark."""
    known = facts() | ({"load": began.load} if began.load else {})
    took = time.time() - began.time
    return Result(bench, command, began.time, took, clock(), known, tuple(figures), tuple(series))


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _line(read: Reader, path: str) -> str:
    try:
        return read(path).strip()
    except OSError:
        return ""


def _keyed(read: Reader, path: str, key: str) -> str:
    for line in _line(read, path).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _memory(read: Reader) -> str:
    kib = _keyed(read, "/proc/meminfo", "MemTotal").split()
    return human_size(int(kib[0]) * 1024) if kib else ""


def _turbo(read: Reader) -> str:
    """The turbo state: Intel's driver has ``no_turbo``, others have ``boost``."""
    if (text := _line(read, f"{_CPU}/intel_pstate/no_turbo")) in ("0", "1"):
        return "on" if text == "0" else "off"
    return {"0": "off", "1": "on"}.get(_line(read, f"{_CPU}/cpufreq/boost"), "")


def _virtualization(read: Reader) -> str:
    """The product's name if the CPU says that this is a guest, else ``none``; ``""`` if the CPU cannot say."""
    flags = _keyed(read, "/proc/cpuinfo", "flags").split()
    if not flags:
        return ""
    if "hypervisor" not in flags:
        return "none"
    return f"guest ({_line(read, '/sys/class/dmi/id/product_name') or 'product unknown'})"
