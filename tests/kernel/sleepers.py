"""Processes of rctl's own that wait for timers, as the tests find and end them."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.kernel.workload import until


def sleepers() -> list[int]:
    """Their process ids."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and (folder / "cmdline").read_bytes().endswith(b"rctl\0timers\0wait\0"):
                found.append(int(folder.name))
    return found


def end_sleepers() -> None:
    """Kill all, and wait until they are gone."""
    for pid in sleepers():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not sleepers(), "the end of the sleepers")
