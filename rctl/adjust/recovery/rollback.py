"""Puts the old values back exactly, in reverse order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...controllers import memory
from ...errors import GoneError, NotAvailableError, RollbackError, told
from ...limits import file_named
from ...signals import undisturbed
from .. import writers
from ..progress import Event, Progress, quiet
from ..steps import Reclaim, Set, SetThrough, Step, Want, sets_cpus

Cgroups = Mapping[str, Cgroup]
"""Open handles by path: every cgroup that the plan touches."""
_LONGEST = 30.0
"""Seconds for putting memory back, for each VE: signals are blocked meanwhile."""
_USUAL = frozenset((Set, SetThrough, Reclaim, Want))


def put_all_back(
    done: Sequence[Step],
    cgroups: Cgroups,
    deadline: float,
    failure: BaseException,
    progress: Progress = quiet,
    decide: Callable[[], None] = lambda: None,
) -> RollbackError | None:
    """As ``roll_back``, and no Ctrl-C stops it. Returns the error to raise if something could not be put back.

    ``failure``: the cause. ``decide``: first writes the decision to put everything back. It may fail with OSError; then
    the present values count.
    """
    left: list[str] | None = None
    while left is None:  # a Ctrl-C before or after has no effect: put back and report
        with suppress(KeyboardInterrupt), undisturbed():
            with suppress(OSError):
                decide()
            left = roll_back(done, cgroups, deadline, progress)
    if not left:
        return None
    return RollbackError(f"{told(failure)}; and not put back: {'; '.join(left)}. Run rctl recover")


def roll_back(
    done: Sequence[Step], cgroups: Cgroups, deadline: float, progress: Progress = quiet, *, again: bool = False
) -> list[str]:
    """Put back the values before ``done``, newest first. Of a removed VE only what its owner stores is put back.

    ``again``: this was begun before a crash. Returns what could not be put back.
    """
    left: list[str] = []
    steps = list(reversed(done))
    others = rare(done)
    if others:
        steps.sort(key=others.partitions.put_back_last)
    for number, step in enumerate(steps, 1):
        try:
            if isinstance(step, Set):
                restore(cgroups[step.path], step, min(deadline, _LONGEST))
            elif others:
                others.put_back(step, cgroups)
        except GoneError:
            if isinstance(step, SetThrough):
                left += put_back_stored(step)
            else:
                continue
        except Exception as error:  # noqa: BLE001 (after any error, the other steps are put back, too)
            left.append(told(error))
        with suppress(Exception):  # the terminal may be gone
            progress(Event("rollback", number, len(done), step.describe()))
    return left + others.partitions.put_all_back(done, cgroups, again=again) if others else left


def put_back_stored(step: SetThrough) -> list[str]:
    """Put back what an owner stores for the next life of a cgroup that is gone. Returns what could not be put back."""
    try:
        writers.put_back(step)
    except Exception as error:  # noqa: BLE001 (as above)
        return [told(error)]
    return []


def rare(steps: Sequence[Step]) -> ModuleType | None:
    """Load ``rare_steps`` and return it, if one of the steps needs it. A run calls this before its first step."""
    if set(map(type, steps)) <= _USUAL and not sets_cpus(steps):
        return None
    from . import rare_steps

    return rare_steps


def restore(cgroup: Cgroup, step: Set, deadline: float) -> None:
    """Put the step's old entry back, and the files that the step disturbed. Memory is lowered gently here, too."""
    if isinstance(step, SetThrough):
        _restore_form(cgroup, step, deadline)
        entries = [(name, "", old) for name, old in step.disturbed]
    else:
        entries = [(step.file, step.key, step.old), *((name, "", old) for name, old in step.disturbed)]
    for name, key, old in entries:
        file = file_named(name)
        try:
            now = file.entry(cgroup.edit(name), key)
        except NotAvailableError:
            continue  # the controller was never enabled, or is disabled again: nothing is set
        if file.holds(now, old) or not file.settable(old):
            continue
        gentle = file is memory.MAX and file.lowers(now, old)
        writers.write(cgroup, [Set(step.path, name, now, old, key, exact=step.exact, gentle=gentle)], deadline)


def _restore_form(cgroup: Cgroup, step: SetThrough, deadline: float) -> None:
    """Put back what the owner knew, also if the entry is the same or its file is not there: the owner's may differ."""
    file = file_named(step.file)
    now = file.entry(cgroup.read_if_there(step.file), step.key)
    gentle = file is memory.MAX and file.lowers(now, step.old)
    back = msgspec.structs.replace(
        step, old=now, new=step.old, kept=step.own, own=step.kept, disturbed=(), gentle=gentle
    )
    writers.write(cgroup, [back], deadline)
