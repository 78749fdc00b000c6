"""Ends the processes of VEs and removes the VEs. Limits that delay the end are lifted first; those above are reported.

A killed process ends by itself. It needs CPU time for that, and waits for its block I/O that is under way.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from ...cgroupfs.cgroup import Cgroup
from ...controllers import core, cpu, io
from ...errors import BusyError, GoneError, NotAvailableError, RctlError
from ...formats import File, Keyed, Nested
from ...units import Weight
from ..steps import Remove
from .processes import family, processes, remove

_CPU: tuple[File, ...] = (cpu.IDLE, cpu.WEIGHT, cpu.MAX)
_LIFTED = {
    cpu.IDLE: "0",
    cpu.WEIGHT: str(Weight.high),
    cpu.MAX: cpu.MAX.default,
    io.MAX: io.MAX.default,
    io.WEIGHT: str(Weight.high),
}
"""Limits that delay a process's end, and values that do not. ``cpu.idle`` is first: an idle VE takes no weight."""
_SOON = 0.05
"""Seconds in which most processes end, whatever their limits."""


def take_away(ve: Cgroup, step: Remove, seconds: float) -> None:
    """Remove a VE as the step says. Raises BusyError if it has processes that may not or cannot be ended.

    Limits that delay their end are lifted for that, and put back if the VE stays.
    """
    if not step.kill or not _populated(ve):
        remove(ve, seconds)
        return
    at_once = ve.has(core.KILL) and ve.read_if_there(core.PROCS) is not None  # a threaded cgroup refuses it (5.14)
    if at_once:
        ve.write(core.KILL, "1")
    if _dead(ve, min(_SOON, seconds), at_once):
        remove(ve, seconds)
        return
    with _lifted(ve):
        if not _dead(ve, seconds, at_once):
            raise BusyError(f"{ve.path}: not dead after {seconds:g} s; {_why_not_dead(ve)}")
        remove(ve, seconds)


def take_all_away(steps: Iterable[Remove], cgroups: Mapping[str, Cgroup], seconds: float) -> list[str]:
    """Remove VEs as the steps say. A VE that cannot be removed stays. Returns notes for people."""
    notes: list[str] = []
    for step in steps:
        try:
            take_away(cgroups[step.path], step, seconds)
        except GoneError:
            continue
        except RctlError as error:
            notes.append(f"{error}; it stays")
    return notes


def _populated(ve: Cgroup) -> bool:
    return core.parse({core.EVENTS: ve.read(core.EVENTS)}).populated


def _dead(ve: Cgroup, seconds: float, killed: bool) -> bool:
    """True if all processes inside end within ``seconds``. ``killed``: all have the signal already; else send it."""
    deadline = time.monotonic() + seconds
    while _populated(ve):
        for pid in () if killed else processes(ve):  # repeatedly, because they may fork
            if pid:  # 0 is a process of another pid namespace
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                except PermissionError:
                    raise NotAvailableError(f"{ve.path}: process {pid} is not yours to end. Run as root") from None
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def _lifted(ve: Cgroup) -> Iterator[None]:
    """During the block, no limit of the VE or of its children can delay the end of a process.

    If the block fails, all limits are put back.
    """
    lifted: dict[str, list[tuple[File, str, str]]] = {}
    try:
        for cgroup in family(ve):
            for file, wanted in _LIFTED.items():
                with suppress(RctlError):  # a limit that may not be lifted is reported if it delays them
                    for key, entry in _entries(cgroup, file):
                        if entry != wanted:
                            lifted.setdefault(cgroup.path, []).append((file, key, entry))
                            cgroup.write(file.name, file.line(wanted, key))
        yield
    except BaseException:
        for cgroup in family(ve):
            for file, key, entry in reversed(lifted.get(cgroup.path, ())):
                with suppress(RctlError):  # the error that the VE stays counts more than its lost limits
                    cgroup.write(file.name, file.line(entry, key))
        raise


def _entries(cgroup: Cgroup, file: File) -> list[tuple[str, str]]:
    """Key and text of each entry of a limit's file; empty if it is missing."""
    text = cgroup.read_if_there(file.name)
    if text is None:
        return []
    keys = [line.split()[0] for line in text.splitlines()] if isinstance(file, Nested | Keyed) else [""]
    return [(key, file.entry(text, key)) for key in keys]


def _why_not_dead(ve: Cgroup) -> str:
    """What keeps killed processes from ending, and the remedy: a limit on or above them, other load, or the kernel."""
    waits = next((pid for pid in processes(ve) if pid and "D" in _states(pid)), None)
    files = (io.MAX, *_CPU) if waits else _CPU
    slow: dict[File, str] = {}  # the nearest cgroup whose limit slows them
    for cgroup in ve.upwards():
        for file in files:
            if file not in slow and any(_slows(file, entry) for _, entry in _entries(cgroup, file)):
                slow[file] = cgroup.path
    for file in files:
        if file in slow:
            return f"{file.name} of {slow[file]} slows their end. Lift it, or raise --deadline"
    if waits:
        return f"process {waits} hangs in the kernel. See /proc/{waits}/stack, or raise --deadline"
    return "they wait for CPU time, which others use. Raise --deadline"


def _slows(file: File, entry: str) -> bool:
    """True if a process gets less with this entry than without limits."""
    return entry == "1" if file is cpu.IDLE else file.lowers(file.default, entry)


def _states(pid: int) -> set[str]:
    """The states of a process's threads (proc_pid_stat(5), field 3)."""
    found = set()
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8", errors="replace") as file:
                found.add(file.read().rpartition(")")[2].split()[0])
    return found
