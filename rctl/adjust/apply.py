"""Run a plan: write, read back, and on any failure put back in reverse order exactly what was there."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import msgspec

from ..cgroupfs.cgroup import SUBTREE_CONTROL, Cgroup
from ..cgroupfs.tree import enabled
from ..controllers import memory
from ..controllers.core import enable_text
from ..errors import GoneError, KernelError, NotAvailableError, RctlError, RollbackError
from ..limits import file_named
from .plan import Enable, Set, Step
from .shrink import reclaim


class Event(msgspec.Struct, frozen=True):
    """Progress. ``what``: journal, step, reclaim, rollback or close; ``done`` of ``total``; ``text`` for people."""

    what: str
    done: int = 0
    total: int = 0
    text: str = ""


Progress = Callable[[Event], None]
Cgroups = Mapping[str, Cgroup]
"""Open handles by path: every cgroup that the plan touches."""


def run(plan: Sequence[Step], cgroups: Cgroups, deadline: float, progress: Progress) -> list[str]:
    """Run all steps, or none: on any failure everything is rolled back and the failure raised.

    Returns notes for people. Raises RollbackError when the rolling back failed too.
    """
    notes: list[str] = []
    done: list[Step] = []
    try:
        for number, step in enumerate(plan, 1):
            done.append(step)
            if said := _run(step, cgroups[step.path], deadline, progress):
                notes += said
            if progress is not quiet:
                progress(Event("step", number, len(plan), step.describe()))
    except BaseException as failure:
        left: list[str] | None = None
        while left is None:  # a Ctrl-C that comes before or after changes nothing: what failed is put back, and told
            with suppress(KeyboardInterrupt), undisturbed():
                left = roll_back(done, cgroups, deadline, progress)
        if left:
            raise RollbackError(
                f"{_short(failure)}; and not put back: {'; '.join(left)}. Run rctl recover"
            ) from failure
        raise
    return notes


def quiet(event: Event) -> None:
    """Progress for nobody."""


def roll_back(done: Sequence[Step], cgroups: Cgroups, deadline: float, progress: Progress = quiet) -> list[str]:
    """Put back what was there before ``done``, newest first; a VE that is gone needs nothing.

    Returns what could not be put back.
    """
    left: list[str] = []
    for number, step in enumerate(reversed(done), 1):
        try:
            _put_back(step, cgroups[step.path], deadline)
        except GoneError:
            continue
        except Exception as error:  # noqa: BLE001 (whatever it is, the other steps are to be put back too)
            left.append(_short(error))
        with suppress(Exception):  # a terminal that went away
            progress(Event("rollback", number, len(done), step.describe()))
    return left


def _run(step: Step, cgroup: Cgroup, deadline: float, progress: Progress) -> list[str]:
    if isinstance(step, Set):
        return _set(cgroup, step)
    if isinstance(step, Enable):
        cgroup.write(SUBTREE_CONTROL, enable_text(step.controllers))
        return []
    span = max(1, step.usage - step.goal)

    def tell(usage: int) -> None:
        progress(Event("reclaim", min(span, max(0, step.usage - usage)), span, step.describe()))

    reclaim(cgroup, step.goal, deadline, step.usage, tell)
    return []


def _set(cgroup: Cgroup, step: Set) -> list[str]:
    """Write one entry and read it back."""
    file = file_named(step.file)
    kills = _kills(cgroup) if file is memory.MAX else 0
    try:
        text = cgroup.exchange(step.file, file.line(step.new, step.key))
    except KernelError as error:
        if error.errno != errno.ENOSPC or step.new:
            raise
        return _widen(cgroup, step)
    got = file.entry(text, step.key)
    if got != step.new and (step.exact or got == step.old):
        raise RctlError(
            f"{step.file}: wrote {step.new!r} to {cgroup.path} and the kernel shows {got!r}. "
            "Another manager may hold this cgroup, or the kernel does not take the value"
        )
    if file is memory.MAX and (killed := _kills(cgroup) - kills):
        return [f"{cgroup.path}: the kernel killed {killed} process(es) for want of memory"]
    return []


def _widen(cgroup: Cgroup, step: Set) -> list[str]:
    """A list with tasks on it cannot be emptied (ENOSPC): give it all that there are, which allows the same.

    Not only what the parent has now: the VE is to follow the parent again when that changes.
    """
    everything = cgroup.root_text(f"{step.file}.effective").strip()
    cgroup.write(step.file, everything)
    return [f"{cgroup.path}: {step.file}: {everything}, all of the parent's or more: under tasks it cannot be empty"]


def _kills(cgroup: Cgroup) -> int:
    text = cgroup.read_if_there("memory.events") or ""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)


def _put_back(step: Step, cgroup: Cgroup, deadline: float) -> None:
    if isinstance(step, Enable):
        on = enabled(cgroup, SUBTREE_CONTROL).intersection(step.controllers)
        if not on:
            return
        try:
            cgroup.write(SUBTREE_CONTROL, enable_text(on, "-"))
        except KernelError as error:
            if error.errno != errno.EBUSY:  # a child has come to use it meanwhile: then it stays
                raise
    elif isinstance(step, Set):
        restore(cgroup, step, deadline)


def restore(cgroup: Cgroup, step: Set, deadline: float) -> None:
    """Put the step's old entry back, and what the step disturbed. Memory is shrunk gently here too."""
    entries = ((step.file, step.key, step.old), *((name, "", old) for name, old in step.disturbed))
    for name, key, old in entries:
        file = file_named(name)
        try:
            now = file.entry(cgroup.read(name), key)
        except NotAvailableError:
            continue  # the controller was never enabled, or is disabled again: nothing is set
        if now == old or not file.settable(old):
            continue
        if file is memory.MAX and old != "max":
            reclaim(cgroup, int(old), deadline, int(cgroup.read("memory.current")), lambda _: None)
        _set(cgroup, Set(step.path, name, now, old, key, exact=step.exact))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM while what was there is put back, or what was done is told."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _short(failure: BaseException) -> str:
    return str(failure) or type(failure).__name__
