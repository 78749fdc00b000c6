"""Runs a plan: writes, reads back, and after any failure puts the old values back exactly, in reverse order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

from ..cgroupfs.cgroup import Cgroup
from ..controllers import core
from ..errors import RctlError
from . import writers
from .progress import Event, Progress, quiet
from .recovery.rollback import Cgroups, put_all_back, rare
from .shrink_memory import reclaim
from .steps import Reclaim, Renew, Set, SetThrough, Step
from .writers.files import SLOW, write_at_once


def run(
    plan: Sequence[Step],
    cgroups: Cgroups,
    deadline: float,
    progress: Progress,
    decide: Callable[[], None],
    finish: Callable[[], None],
    already: int = 0,
    end: int | None = None,
) -> list[str]:
    """Run all steps, or none: after any failure everything is rolled back, and the failure is raised.

    ``already``: number of steps that are done. ``end``: number of steps that are done in the end; unset: all. The steps
    after that cannot be rolled back.

    ``finish`` comes last. If it fails, everything is rolled back, too. If the process becomes another program in it, it
    does not return. ``decide``: first writes the decision to put everything back. It may fail with OSError; then the
    present values count.

    Returns notes for people. Raises RollbackError if the roll-back failed, too.
    """
    notes: list[str] = []
    number, told, others = already, progress is not quiet, rare(plan)
    last = len(plan) if end is None else end
    try:
        while number < last:
            step = plan[number]
            number += 1
            cgroup = cgroups[step.path]
            if type(step) is Set and step.file not in SLOW:
                said = write_at_once(cgroup, step)
            elif type(step) is SetThrough:
                group = _together(step, plan[number - 1 : last])
                number += len(group) - 1
                said = writers.write(cgroup, group, deadline)
            else:
                said = _run(step, cgroup, deadline, progress, others)
            if said:
                notes += said
            if told:
                progress(Event("step", number, len(plan), step.describe()))
        finish()
    except BaseException as failure:
        done = [*plan[:number], *(step for step in plan[number:] if isinstance(step, Renew))]
        in_doubt = put_all_back(done, cgroups, deadline, failure, progress, decide)
        error = in_doubt or failure
        if isinstance(error, RctlError):
            error.reached = number
        if in_doubt:
            raise in_doubt from failure
        raise
    return notes


def _together(first: SetThrough, steps: Sequence[Step]) -> list[Set]:
    """The steps of the same cgroup and writer that follow one another: the writer sets them in one call."""
    path, writer, found = first.path, first.writer, list[Set]()
    for step in steps:
        if not isinstance(step, SetThrough) or step.path != path or step.writer != writer:
            break
        found.append(step)
    return found


def _run(step: Step, cgroup: Cgroup, deadline: float, progress: Progress, others: ModuleType | None) -> list[str]:
    if isinstance(step, Set):
        notes = writers.write(cgroup, [step], deadline)
        if step.file == core.FREEZE.name and step.new == "1":
            from .lifecycle.freeze import wait_until_frozen

            wait_until_frozen(cgroup, deadline)
        return notes
    if isinstance(step, Reclaim):
        _reclaim(step, cgroup, deadline, progress)
        return []
    return others.run(step, cgroup) if others else []


def _reclaim(step: Reclaim, cgroup: Cgroup, deadline: float, progress: Progress) -> None:
    span = max(1, step.usage - step.goal)

    def tell(usage: int) -> None:
        progress(Event("reclaim", min(span, max(0, step.usage - usage)), span, step.describe()))

    reclaim(cgroup, step.goal, deadline, step.usage, tell)
