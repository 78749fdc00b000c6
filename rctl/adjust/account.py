"""The account of an adjustment: its effect on every VE, after success or failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from .steps import Make, Remove, Renew, Step


class Outcome(msgspec.Struct, frozen=True):
    """The result for one VE.

    ``status``: made, changed, removed, left alone (it was to be removed, but got processes), unchanged, planned,
    rolled back, not reached, or in doubt.
    """

    name: str
    path: str
    status: str
    steps: tuple[Step, ...] = ()


class Account(msgspec.Struct, frozen=True):
    """The changes of an adjustment to each VE. ``id``: its name in the history; ``None``: nothing was written."""

    id: str | None
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()


def failed(names: Mapping[str, str], steps: Sequence[Step], reached: int, status: str) -> tuple[Outcome, ...]:
    """Outcomes if only the first ``reached`` steps had begun."""
    begun = {step.path for step in steps[:reached]}
    return tuple(
        msgspec.structs.replace(outcome, status="not reached")
        if outcome.status == status and outcome.path not in begun
        else outcome
        for outcome in outcomes(names, [step for step in steps if not isinstance(step, Renew)], status)
    )


def done(names: Mapping[str, str], steps: Sequence[Step], there: Callable[[str], bool]) -> tuple[Outcome, ...]:
    """Outcomes after success. ``there``: returns True if the cgroup with this path still exists."""
    found = []
    for outcome in outcomes(names, steps, "changed"):
        status = outcome.status
        if any(isinstance(step, Remove) for step in outcome.steps):
            status = "left alone" if there(outcome.path) else "removed"
        elif any(isinstance(step, Make) for step in outcome.steps):
            status = "made"
        found.append(msgspec.structs.replace(outcome, status=status))
    return tuple(found)


def outcomes(names: Mapping[str, str], steps: Sequence[Step], status: str) -> tuple[Outcome, ...]:
    """One for each cgroup, VEs in ``names`` first: ``status`` if it has steps, else unchanged."""
    by_path: dict[str, list[Step]] = {path: [] for path in names}
    if Renew in set(map(type, steps)):
        steps = [step for step in steps if not (isinstance(step, Renew) and step.valid)]  # such a step writes nothing
    for step in steps:
        try:
            by_path[step.path].append(step)
        except KeyError:
            by_path[step.path] = [step]
    return tuple(
        [
            Outcome(names.get(path, path), path, status if own else "unchanged", tuple(own))
            for path, own in by_path.items()
        ]
    )
