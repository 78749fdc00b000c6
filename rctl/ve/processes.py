"""Lists the processes of VEs, and sends them signals."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress

import msgspec

from ..adjust.lifecycle import processes
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import OUT_OF, GoneError, NotAvailableError, NotFoundError, UsageError
from ..names.patterns import may_go

_SIGNAL = re.compile(r"(?:SIG)?([A-Z][A-Z0-9]*)([+-][0-9]{1,2})?|([0-9]{1,3})", re.ASCII)
_SIGNALS = {one.name.removeprefix("SIG"): int(one) for one in signal.Signals}
_ROUNDS = 10
"""Rounds in which to look for processes that were forked meanwhile."""
_AT_ONCE = 200
"""Most process descriptors open at a time."""


class Process(msgspec.Struct, frozen=True):
    """A process. ``cpu``: seconds of CPU time so far; ``memory``: resident bytes (RSS); ``command``: as it was run."""

    ve: str
    pid: int
    user: str
    cpu: float
    memory: int
    command: str


def listing(tree: Tree, names: Iterable[str], named: Collection[str] = ()) -> list[Process]:
    """The processes in VEs and below, by VE, then by process id. A process that ended meanwhile is left out.

    Raises NotFoundError and GoneError for a VE that ``named`` has by its name.
    """
    found = []
    for name in names:
        pids: list[int] = []
        with may_go(tree, name, named), tree.open_ve(name) as ve:
            pids = sorted(filter(None, processes.processes(ve)))  # 0 is a process of another pid namespace
        found += [process for pid in pids if (process := _process(name, pid))]
    return found


def _process(name: str, pid: int) -> Process | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            command = " ".join(process.cmdline()) or f"[{process.name()}]"
            spent = round(times.user + times.system, 2)
            return Process(name, pid, process.username(), spent, process.memory_info().rss, command)
    except psutil.Error:
        return None
    except OSError as error:
        if error.errno in OUT_OF:
            raise
        return None


def signal_number(text: str) -> int:
    """A signal by name or number, as ``kill -l`` shows them: ``TERM``, ``SIGTERM``, ``15``, ``RTMIN+3``.

    Raises UsageError.
    """
    match = _SIGNAL.fullmatch(text.upper())
    name, more, number = match.groups() if match else (None, None, None)
    found = int(number) if number else _SIGNALS.get(name or "", 0) + int(more or 0)
    if found not in signal.valid_signals() or (more and name not in ("RTMIN", "RTMAX")):
        raise UsageError(f"--signal: {text[:32]!r} is not a signal. Write it like TERM, HUP or 9; see kill -l")
    return found


def signal_name(number: int) -> str:
    """``SIGTERM``; a signal without its own name is named by its distance from the first: ``SIGRTMIN+3``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def send(tree: Tree, names: Iterable[str], number: int) -> Mapping[str, int]:
    """Send a signal to all processes of VEs, and of cgroups below. Returns the number of processes that got it, by VE.

    SIGKILL uses ``cgroup.kill`` if the kernel has it (Linux 5.14); no fork escapes that. Other signals use process
    descriptors, so that no other process gets the signal if an id is used again. Processes that are forked meanwhile
    get it, too.

    Raises NotFoundError for a missing VE and UsageError for one that rctl itself runs in; then no process got it.
    Raises NotAvailableError if some processes of a VE belong to others; the rest got it.
    """
    inodes: dict[str, int] = {}
    for name in names:
        with tree.open_ve(name) as ve:
            if os.getpid() in processes.processes(ve):
                raise UsageError(f"{name}: this rctl runs in it, and would get the signal, too. Run it outside the VE")
            inodes[name] = ve.ino
    told = dict.fromkeys(inodes, 0)
    for name, ino in inodes.items():
        with suppress(NotFoundError, GoneError), tree.open_ve(name) as ve:
            if ve.ino == ino:
                told[name] = _send(ve, number)
    return told


def _send(ve: Cgroup, number: int) -> int:
    threaded = ve.read_if_there(core.PROCS) is None  # a threaded cgroup refuses cgroup.kill
    if number == signal.SIGKILL and ve.has(core.KILL) and not threaded:
        count = len(processes.processes(ve))
        ve.write(core.KILL, "1")
        return count
    told: set[int] = set()
    refused: set[int] = set()
    seen: set[int] = set()
    for _ in range(_ROUNDS):
        new = sorted({pid for pid in processes.processes(ve) if pid} - seen)
        if not new:
            break
        for start in range(0, len(new), _AT_ONCE):
            _signal(ve, new[start : start + _AT_ONCE], number, told, refused)
        seen |= set(new)
    if refused:
        raise NotAvailableError(
            f"{ve.path}: {len(refused)} process(es) belong to others, and you may not send them signals; the first is "
            f"{min(refused)}; {len(told)} got it. Run as root"
        )
    return len(told)


def _signal(ve: Cgroup, pids: Iterable[int], number: int, told: set[int], refused: set[int]) -> None:
    """Send a signal to processes. Adds those that got it to ``told``, and those that the caller may not signal to
    ``refused``.
    """
    with ExitStack() as stack:
        opened: dict[int, int] = {}
        for pid in pids:
            with suppress(ProcessLookupError):
                opened[pid] = os.pidfd_open(pid)
                stack.callback(os.close, opened[pid])
        there = set(processes.processes(ve))  # an id may have been used again by a process outside before it was opened
        for pid in opened.keys() & there:
            try:
                signal.pidfd_send_signal(opened[pid], number)
                told.add(pid)
            except ProcessLookupError:
                continue
            except PermissionError:
                refused.add(pid)
