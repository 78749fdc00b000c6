"""Run a plan: write, read back, and on any failure put back in reverse order exactly what was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from ..cgroupfs.cgroup import Cgroup
from ..controllers import core
from ..controllers.core import SUBTREE_CONTROL, enable_text
from ..errors import BusyError, RctlError, RollbackError, told
from . import life, release, threaded
from .freeze import wait_until_frozen
from .plan import Disable, Enable, Move, Reclaim, Set, Step
from .progress import Event, Progress, quiet
from .rollback import Cgroups, roll_back, undisturbed
from .shrink import reclaim
from .write import SLOW, put, write


def run(
    plan: Sequence[Step],
    cgroups: Cgroups,
    deadline: float,
    progress: Progress,
    decide: Callable[[], None],
    finish: Callable[[], None],
) -> list[str]:
    """Run all steps, or none: on any failure everything is rolled back and the failure raised.

    ``finish`` comes last. When it fails, all is rolled back too. It may not return, where the process becomes another
    program. ``decide``: writes down that all is put back, before it is. It may fail with OSError: what is there counts
    then.

    Returns notes for people. Raises RollbackError when the rolling back failed too.
    """
    notes: list[str] = []
    number = 0
    try:
        for number, step in enumerate(plan, 1):
            cgroup = cgroups[step.path]
            if isinstance(step, Set) and step.file not in SLOW:
                said = write(cgroup, step)
            else:
                said = _run(step, cgroup, deadline, progress)
            if said:
                notes += said
            if progress is not quiet:
                progress(Event("step", number, len(plan), step.describe()))
        finish()
    except BaseException as failure:
        left: list[str] | None = None
        while left is None:  # a Ctrl-C that comes before or after changes nothing: what failed is put back, and told
            with suppress(KeyboardInterrupt), undisturbed():
                with suppress(OSError):
                    decide()
                left = roll_back(plan[:number], cgroups, deadline, progress)
        error = failure
        if left:
            error = RollbackError(f"{told(failure)}; and not put back: {'; '.join(left)}. Run rctl recover")
        if isinstance(error, RctlError):
            error.reached = number
        if left:
            raise error from failure
        raise
    return notes


def _run(step: Step, cgroup: Cgroup, deadline: float, progress: Progress) -> list[str]:
    if isinstance(step, Set):
        notes = put(cgroup, step, deadline)
        if step.file == core.FREEZE.name and step.new == "1":
            wait_until_frozen(cgroup, deadline)
        return notes
    if isinstance(step, Enable):
        _enable(cgroup, step)
        return []
    if isinstance(step, Disable):
        release.take_back(cgroup, step)
        return []
    if isinstance(step, Move):
        life.move(cgroup, step)
    elif isinstance(step, Reclaim):
        _reclaim(step, cgroup, deadline, progress)
    return []  # a cgroup to be made was made already, for limits need it


def _reclaim(step: Reclaim, cgroup: Cgroup, deadline: float, progress: Progress) -> None:
    span = max(1, step.usage - step.goal)

    def tell(usage: int) -> None:
        progress(Event("reclaim", min(span, max(0, step.usage - usage)), span, step.describe()))

    reclaim(cgroup, step.goal, deadline, step.usage, tell)


def _enable(cgroup: Cgroup, step: Enable) -> None:
    """Enable the controllers. Raises BusyError when processes came into the cgroup meanwhile, so it became threaded."""
    before = threaded.kind(cgroup)
    cgroup.write(SUBTREE_CONTROL, enable_text(step.controllers))
    if threaded.kind(cgroup) != before:
        raise BusyError(f"{cgroup.path}: a process came into it meanwhile, so it can have no controllers. Try again")
