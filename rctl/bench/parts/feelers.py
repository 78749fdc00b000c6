"""The work of ``felt``'s child in a VE, one function for each limit. It yields the moment at which it was held back."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.devices import resolve
from ...errors import UsageError
from ...formats import flat_keyed
from ..stage.worker import Work, now

_BLOCK = 4096
_FILL = 8 << 20
_GAP = 5_000_000
"""Nanoseconds without running after which to ask the kernel for the reason."""
_WAIT = 40_000_000
"""Nanoseconds that a small direct write takes only if it must wait; the limit leaves 100 ms between two writes."""


def forks(_: Cgroup) -> Work:
    """Forks, one child at a time, until a fork fails."""

    def work() -> Iterator[int]:
        yield now()
        while True:
            try:
                pid = os.fork()
            except BlockingIOError:
                yield now()
                return
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)

    return work


def burns(ve: Cgroup) -> Work:
    """Uses all CPU time that it gets, and yields when the limit stopped that."""

    def throttled() -> int:
        return flat_keyed(ve.read("cpu.stat")).get("nr_throttled", 0)

    def work() -> Iterator[int]:
        count, last = throttled(), now()
        yield last
        while True:
            here = now()
            if here - last > _GAP and throttled() > count:
                yield last
                yield here  # the gap began before the change was asked for
                return
            last = here

    return work


def fills(_: Cgroup) -> Work:
    """Fills memory page by page up to 8 MiB, frees it, and starts again."""

    def work() -> Iterator[int]:
        area = mmap.mmap(-1, _FILL, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        yield now()
        while True:
            for offset in range(0, _FILL, _BLOCK):
                area[offset] = 1
            area.madvise(mmap.MADV_DONTNEED)

    return work


def moves(_: Cgroup, target: int) -> Work:
    """Keeps busy until it runs on the CPU ``target`` and may run on no other."""
    on = ctypes.CDLL(None).sched_getcpu

    def work() -> Iterator[int]:
        yield now()
        while os.sched_getaffinity(0) != {target} or on() != target:
            pass
        yield now()

    return work


def puts(_: Cgroup, folder: str) -> Work:
    """Writes small blocks past the page cache, and yields the start of one that had to wait."""

    def work() -> Iterator[int]:
        place = os.path.join(folder, f"rctl-bench-{os.getppid()}")
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC, 0o600)
        os.unlink(place)
        block = mmap.mmap(-1, _BLOCK)
        for offset in range(0, 64 * _BLOCK, _BLOCK):
            os.pwritev(file, [block], offset)
        yield now()
        while True:
            for offset in range(0, 64 * _BLOCK, _BLOCK):
                begin = now()
                os.pwritev(file, [block], offset)
                if now() - begin > _WAIT:
                    yield begin

    return work


def disk(folder: str) -> str:
    """``MAJOR:MINOR`` of the disk that holds a folder; ``""`` if it lies on no disk, or on several."""
    try:
        return resolve(folder)
    except UsageError:
        return ""
