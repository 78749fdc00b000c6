"""Load generators of other projects, if they are installed: the same paths, measured by another program."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from .base import Generator, Workload

_OTHERS = "load generators"


def _stress(stressor: str) -> Callable[[int], tuple[str, ...]]:
    return lambda count: (
        "stress-ng",
        f"--{stressor}",
        "1",
        f"--{stressor}-ops",
        str(count),
        "--metrics-brief",
        "--stdout",
    )


def _bogo(stressor: str) -> Callable[[str], float]:
    """A line of ``--metrics-brief``: the stressor, operations, real, user and system seconds, operations per second."""
    line = re.compile(rf"\s{stressor}\s+(\d+)\s+([\d.]+)\s+[\d.]+\s+[\d.]+\s+([\d.]+)\s")

    def rate(text: str) -> float:
        return float(line.findall(text)[-1][2])

    return rate


def _fio(how: str, *more: str) -> Callable[[int], tuple[str, ...]]:
    common = ("--name=rctl", "--filename=fio", "--size=4M", "--bs=4k", "--ioengine=psync", "--output-format=json")
    return lambda count: ("fio", f"--rw={how}", f"--io_size={4 * count}k", *common, *more)


def _iops(direction: str) -> Callable[[str], float]:
    """Operations per second. fio rounds the time to a millisecond."""

    def rate(text: str) -> float:
        job = json.loads(text[text.index("{") :])["jobs"][0][direction]
        return float(job["iops"])

    return rate


def _events(text: str) -> float:
    """sysbench: ``events per second:  123.45``."""
    return float(re.findall(r"events per second:\s+([\d.]+)", text)[0])


ALL: tuple[Workload, ...] = (
    Generator(
        "stress-ng switch", _OTHERS, "a context switch through a pipe", 20000, ("stress-ng",),
        command=_stress("switch"), rate=_bogo("switch"),
    ),
    Generator(
        "stress-ng fork", _OTHERS, "a fork", 500, ("stress-ng",), command=_stress("fork"), rate=_bogo("fork"),
    ),
    Generator(
        "fio, direct reads", _OTHERS, "random read of 4 KiB with O_DIRECT", 20000, ("fio",),
        command=_fio("randread", "--direct=1"), rate=_iops("read"), coarse=1e-3,
    ),
    Generator(
        "fio, writes with fsync", _OTHERS, "random write of 4 KiB, fsync(2)", 2500, ("fio",),
        command=_fio("randwrite", "--fsync=1"), rate=_iops("write"), coarse=1e-3,
    ),
    Generator(
        "sysbench cpu", _OTHERS, "prime numbers up to 2000", 500, ("sysbench",),
        command=lambda count: ("sysbench", "cpu", "--cpu-max-prime=2000", f"--events={count}", "--time=0", "run"),
        rate=_events,
    ),
)  # fmt: skip
